"""Our app on a DICOMweb server, with OHIF at /ohif/."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from scripts.processes import serving

APP = Path(__file__).resolve().parents[2] / "apps" / "imos"


@contextmanager
def running_app(
    dicomweb: str,
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int,
    conf: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Start the app on the images of a DICOMweb server; `folder` keeps its copies of them. Yields its address.

    Raises:
        RuntimeError: it ended or did not answer; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = f"http://127.0.0.1:{port}"
    paths = {
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "images"),
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
    }
    with serving(
        command(dicomweb, host=host, port=port, conf=conf or {}),
        answers=f"{here}/info/",
        log=folder / "server.log",
        environment={**paths, **(environment or {})},
    ):
        yield here if host in ("127.0.0.1", "0.0.0.0", "localhost") else f"http://{host}:{port}"


def command(dicomweb: str, *, host: str, port: int, conf: Mapping[str, object]) -> list[str]:
    """The command line that serves a DICOMweb server's images."""
    pairs = [text for key, value in conf.items() for text in ("--conf", key, str(value))]
    start = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP), "--studies", dicomweb]
    return [*start, "--host", host, "--port", str(port), *pairs]


def study_page(app: str, study: str) -> str:
    """Where OHIF shows a study, with the MONAI Label panel."""
    return f"{app}/ohif/monai-label?{urlencode({'StudyInstanceUIDs': study})}"
