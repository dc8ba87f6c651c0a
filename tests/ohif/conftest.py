"""Orthanc, our app on it and a browser, for all tests of OHIF; what is missing is installed, or the tests skip.

They are not yet part of the everyday suite: on two cores they take longer than it may, and they have not all passed.
`IMOS_OHIF_TESTS=1` runs them.
"""

import os

import pytest

from scripts.ohif.debian import ORTHANC_FILES, NotInstalledError, install_missing
from scripts.ohif.orthanc import running_orthanc
from scripts.ohif.server import running_app
from scripts.processes import free_port
from tests.ohif.store import Store


def pytest_collection_modifyitems(items):
    """Time for installing Debian's packages, and for a browser without a graphics card on busy cores."""
    for item in items:
        if "tests/ohif" in str(item.path):
            item.add_marker(pytest.mark.timeout(1500))
            if not os.environ.get("IMOS_OHIF_TESTS"):
                item.add_marker(pytest.mark.skip(reason="tests of OHIF run with IMOS_OHIF_TESTS=1"))


def installed(files):
    """Skip where Debian's packages cannot be had."""
    try:
        install_missing(files)
    except NotInstalledError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The bundled weights on an Orthanc that is empty at first."""
    installed(ORTHANC_FILES)
    folder = tmp_path_factory.mktemp("ohif")
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    conf = {"threads": 1, "labels": "lateral ventricles,liver,spleen"}
    with (
        running_orthanc(folder / "orthanc", port=free_port()) as orthanc,
        running_app(orthanc.dicomweb, folder / "app", port=free_port(), conf=conf, environment=environment) as app,
    ):
        yield Store(orthanc=orthanc, app=app, folder=folder / "app", log=folder / "app" / "server.log")
