"""`make ohif STUDIES=folder`: the DICOM files of a folder in OHIF, in your browser, with iMOS beside them.

Starts Orthanc, uploads the folder, starts the app on it, prints where to look, and stops both on Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from scripts.ohif.debian import ORTHANC_FILES, NotInstalledError, install_missing
from scripts.ohif.orthanc import Orthanc, running_orthanc
from scripts.ohif.server import running_app, study_page
from scripts.ohif.upload import NoDicomError, find_dicom, upload
from scripts.processes import is_free


class PortTakenError(RuntimeError):
    """Another program listens where ours would; the message says what to do."""


def main() -> None:
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)  # a stop request must pass through the `with` blocks that end the servers
    try:
        run(options)
    except (NotInstalledError, NoDicomError, PortTakenError, RuntimeError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nstopped   Orthanc and the server", flush=True)


def run(options: argparse.Namespace) -> None:
    """Everything, from the folder to the address; returns only when it is stopped."""
    files = find_dicom(options.studies)
    store: Path = options.store.resolve()
    for port, option in ((options.port, "PORT"), (options.orthanc_port, "ORTHANC_PORT")):
        _refuse_taken(port, option)
    install_missing(ORTHANC_FILES)
    with running_orthanc(store / "orthanc", port=options.orthanc_port) as orthanc:
        refused = upload(orthanc, files)
        for sentence in refused:
            print(f"warning   {sentence}")
        print(f"orthanc   {orthanc.dicomweb}: {len(files) - len(refused)} files of {options.studies}", flush=True)
        address = {"host": options.host, "port": options.port}
        with running_app(orthanc.dicomweb, store / "app", conf=dict(options.conf), **address) as app:
            _print_addresses(orthanc, app, store)
            signal.pause()


def _print_addresses(orthanc: Orthanc, app: str, store: Path) -> None:
    print(f"server    {app}")
    for study in orthanc.studies():
        name = " ".join(part for part in (study.patient, study.description) if part)
        print(f"study     {name} ({', '.join(study.modalities)}): {study_page(app, study.uid)}")
    print(f"all       {app}/ohif/")
    print(f"kept      {store} (images and saved labels; remove the folder to start anew)")
    print("Ctrl-C stops everything.", flush=True)


def _refuse_taken(port: int, option: str) -> None:
    if not is_free(port):
        raise PortTakenError(
            f"port {port} is in use by another program; stop that one, or choose another: make ohif {option}=..."
        )


def _stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ohif", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=Path, required=True, help="a folder with DICOM files, also in folders below")
    parser.add_argument(
        "--host", default="127.0.0.1", help="where the server listens (%(default)s: this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the server and of OHIF (%(default)s)")
    parser.add_argument("--orthanc-port", type=int, default=8043, help="port of Orthanc (%(default)s)")
    parser.add_argument("--store", type=Path, default=Path("runs/ohif"), help="what is kept (%(default)s)")
    parser.add_argument("--conf", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="of the app")
    return parser


if __name__ == "__main__":
    main()
