"""The DICOM files of a folder, and how they get into Orthanc."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scripts.ohif.orthanc import DicomRefusedError, Orthanc

MAGIC_AT, MAGIC = 128, b"DICM"  # every DICOM file says so after its preamble


class NoDicomError(ValueError):
    """A folder that holds nothing to upload; the message says what it holds and what is needed."""


def find_dicom(folder: Path) -> list[Path]:
    """Every DICOM file in a folder and below, by content: their names end in anything.

    Raises:
        NoDicomError: there is no such folder, or no DICOM in it.
    """
    if not folder.is_dir():
        raise NoDicomError(f"{folder} is no folder; give one with DICOM files: make ohif STUDIES=/folder/with/dicom")
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_instance(path)]
    if not found:
        raise NoDicomError(
            f"{folder} holds no DICOM ({_contents(folder)}); OHIF shows DICOM only. For NIfTI and others: "
            f"make serve STUDIES={folder}, and 3D Slicer"
        )
    return found


def upload(orthanc: Orthanc, files: Sequence[Path]) -> list[str]:
    """Store every file; returns a sentence for each that Orthanc does not take.

    Raises:
        NoDicomError: it takes none.
    """
    refused = []
    for path in files:
        try:
            orthanc.store(path.read_bytes())
        except DicomRefusedError as error:
            refused.append(f"{path} was not stored: {error}")
    if len(refused) == len(files):
        raise NoDicomError(f"none of {len(files)} DICOM files could be stored. The first: {refused[0]}")
    return refused


def _is_instance(path: Path) -> bool:
    if path.name == "DICOMDIR":  # a table of contents
        return False
    with path.open("rb") as file:
        file.seek(MAGIC_AT)
        return file.read(len(MAGIC)) == MAGIC


def _contents(folder: Path) -> str:
    """What a folder holds instead, as in '12 .gz, 3 .png'."""
    kinds = Counter(path.suffix or "files without suffix" for path in folder.rglob("*") if path.is_file())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4)) or "it is empty"
