"""A DICOMweb server of our own: Debian's Orthanc, on this machine alone, with its files in one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from scripts.ohif.debian import DICOMWEB_PLUGIN, ORTHANC_FILES
from scripts.processes import serving

ROOT = "/dicom-web/"
SECONDS_TO_STORE = 60


class DicomRefusedError(ValueError):
    """Orthanc does not store a file; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study that the server holds."""

    uid: str
    patient: str
    description: str
    modalities: tuple[str, ...]
    series: int


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """A running server."""

    url: str

    @property
    def dicomweb(self) -> str:
        """The address for `--studies`."""
        return f"{self.url}{ROOT.rstrip('/')}"

    def store(self, file: bytes) -> None:
        """Store one DICOM instance; storing it again changes nothing.

        Raises:
            DicomRefusedError: it is none, or a damaged one.
        """
        reply = requests.post(f"{self.url}/instances", data=file, timeout=SECONDS_TO_STORE)
        if not reply.ok:
            raise DicomRefusedError(_reason(reply))

    def studies(self) -> list[Study]:
        """Every study, in the order of the patients' names."""
        found = []
        for study in self._get("studies?expand"):
            tags = {**study["PatientMainDicomTags"], **study["MainDicomTags"]}
            series = [self._get(f"series/{key}")["MainDicomTags"] for key in study["Series"]]
            found.append(
                Study(
                    uid=tags["StudyInstanceUID"],
                    patient=tags.get("PatientName") or tags.get("PatientID") or "no name",
                    description=tags.get("StudyDescription", ""),
                    modalities=tuple(sorted({one.get("Modality", "?") for one in series})),
                    series=len(series),
                )
            )
        return sorted(found, key=lambda study: (study.patient, study.uid))

    def _get(self, path: str) -> Any:
        reply = requests.get(f"{self.url}/{path}", timeout=SECONDS_TO_STORE)
        reply.raise_for_status()
        return reply.json()


@contextmanager
def running_orthanc(folder: Path, *, port: int) -> Iterator[Orthanc]:
    """Start Orthanc on this port of this machine; what `folder` holds from an earlier run is served again.

    Raises:
        RuntimeError: it ended or did not answer; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(configuration(folder, port=port), indent=2))
    program = shutil.which("Orthanc") or str(next(iter(ORTHANC_FILES)))
    url = f"http://127.0.0.1:{port}"
    with serving([program, str(settings)], answers=f"{url}/system", log=folder / "orthanc.log"):
        yield Orthanc(url=url)


def configuration(folder: Path, *, port: int) -> dict[str, Any]:
    """Orthanc's settings: HTTP and DICOMweb for this machine, nothing for the network."""
    return {
        "Name": "imos",
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "HttpsCACertificates": "",
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": ROOT},
    }


def _reason(reply: requests.Response) -> str:
    try:
        return str(reply.json().get("Details") or reply.json().get("Message"))
    except ValueError:
        return f"status {reply.status_code}"
