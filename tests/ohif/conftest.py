"""Orthanc and our app on it, for all tests of OHIF; what is missing is installed, or the tests skip and say why."""

import pytest
from filelock import FileLock

from scripts.ohif.debian import ORTHANC_FILES, NotInstalledError, install_missing
from scripts.ohif.orthanc import running_orthanc
from scripts.ohif.server import running_app
from scripts.processes import free_port
from tests.ohif.store import Store

LABELS = "liver,spleen,ventricles of brain,structure 1"  # few rows: the picture shows all of them


def pytest_collection_modifyitems(items):
    """Time for installing Debian's packages, and for a browser without a graphics card on busy cores."""
    for item in items:
        if "tests/ohif" in str(item.path):
            item.add_marker(pytest.mark.timeout(1500))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Skips where Debian's packages cannot be had; one process of the tests installs at a time."""
    lock = FileLock(tmp_path_factory.getbasetemp().parent / "install.lock")  # this run's processes share that folder

    def or_skip(files):
        try:
            with lock:
                install_missing(files)
        except NotInstalledError as error:
            pytest.skip(str(error))

    return or_skip


@pytest.fixture(scope="session")
def store(tmp_path_factory, installed):
    """The bundled weights on an Orthanc that is empty at first."""
    installed(ORTHANC_FILES)
    folder = tmp_path_factory.mktemp("ohif")
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    conf = {"threads": 1, "labels": LABELS, "size": 256}  # half as exact as usual, and much faster
    with (
        running_orthanc(folder / "orthanc", port=free_port()) as orthanc,
        running_app(orthanc.dicomweb, folder / "app", port=free_port(), conf=conf, environment=environment) as app,
    ):
        yield Store(orthanc=orthanc, app=app, folder=folder / "app", log=folder / "app" / "server.log")
