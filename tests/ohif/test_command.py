"""`make ohif STUDIES=folder`: an address to open, nothing left running, and a sentence where it cannot be had."""

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from scripts.ohif import debian
from scripts.ohif.debian import ORTHANC_FILES, NotInstalledError, install_missing
from scripts.ohif.upload import NoDicomError, find_dicom
from scripts.processes import free_port, is_free
from tests.ohif.acquisitions import Acquisition, write_series
from tests.ohif.test_directions import object_at, picture

REPOSITORY = Path(__file__).resolve().parents[2]


def command(studies, store, *, port, orthanc_port):
    ports = ["--port", str(port), "--orthanc-port", str(orthanc_port)]
    return [sys.executable, "-m", "scripts.ohif", "--studies", str(studies), "--store", str(store), *ports]


@contextmanager
def running(*arguments, **ports):
    """The command as a process; it and what it started are gone afterwards, whatever happened."""
    process = subprocess.Popen(
        command(*arguments, **ports),
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'apps/imos'}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()  # it ends its servers then; killed, it would leave them
            try:
                process.wait(120)
            finally:
                process.kill()


def test_the_address_that_is_printed_shows_the_study_until_it_is_stopped(tmp_path, installed):
    installed(ORTHANC_FILES)
    series = write_series(tmp_path / "dicom" / "below", picture(object_at())[:, :, :3], Acquisition(), patient="ANNA")
    (tmp_path / "dicom" / "note.txt").write_text("no DICOM")
    ports = {"port": free_port(), "orthanc_port": free_port()}
    with running(tmp_path / "dicom", tmp_path / "store", **ports) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        printed = "".join(lines)
        assert "3 files" in printed
        study = next(line for line in lines if line.startswith("study"))
        assert "ANNA" in study
        assert "(MR)" in study
        address = study.split()[-1]
        assert address.endswith(series.study)
        assert "<!doctype html>" in requests.get(address, timeout=60).text.lower()
        process.send_signal(signal.SIGINT)
        assert "stopped" in process.communicate(timeout=120)[0]
    assert process.returncode == 0
    assert all(is_free(port) for port in ports.values())


def test_a_folder_without_dicom_is_named_with_what_it_holds(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"NIfTI")
    with running(tmp_path, tmp_path / "store", port=free_port(), orthanc_port=free_port()) as process:
        words, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "no DICOM (1 .gz)" in words
    assert f"make serve STUDIES={tmp_path}" in words
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("name", "content"), [("scan.dcm", b"\0" * 200), ("DICOMDIR", b"\0" * 128 + b"DICM")])
def test_what_only_looks_like_dicom_is_not_taken_for_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NoDicomError, match="holds no DICOM"):
        find_dicom(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NoDicomError, match="is no folder"):
        find_dicom(tmp_path / "nowhere")


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path):
    write_series(tmp_path / "dicom", picture(object_at())[:, :, :2], Acquisition())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with running(tmp_path / "dicom", tmp_path / "store", port=taken, orthanc_port=free_port()) as process:
            words, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"port {taken} is in use" in words
    assert "make ohif PORT=" in words


def test_who_may_not_install_is_told_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "_rights", lambda: None)
    monkeypatch.setattr(debian.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(NotInstalledError, match="sudo apt-get install one two"):
        install_missing({tmp_path / "1": "one", tmp_path / "2": "two"})


def test_a_system_without_apt_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(NotInstalledError, match="no apt-get"):
        install_missing({tmp_path / "1": "one"})


def test_what_is_installed_needs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(debian.subprocess, "run", None)
    (tmp_path / "program").touch()
    install_missing({tmp_path / "program": "package"})
