"""What `make` says before it installs anything, on machines that cannot hold the environment."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "environment"


@pytest.fixture
def install(tmp_path):
    """Run the script for a new environment, on a disk with so many free kilobytes, without any Python to be found."""

    def run(free):
        programs = tmp_path / "bin"
        programs.mkdir()
        report = f"Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/disk 900000000 1 {free} 1% /"
        (programs / "df").write_text(f"#!/bin/sh\ncat <<END\n{report}\nEND\n")
        (programs / "df").chmod(0o755)
        variables = {"PATH": f"{programs}:{os.environ['PATH']}", "VENV": str(tmp_path / "elsewhere" / "venv")}
        variables["PYTHON"] = "no-python"
        return subprocess.run([SCRIPT], env=variables, capture_output=True, text=True, check=False)

    return run


def test_a_disk_that_is_too_small_is_named_before_anything_is_installed(install, tmp_path):
    answer = install(4_200_000)
    assert answer.returncode == 1
    assert "4 GB left" in answer.stderr
    assert "make VENV=" in answer.stderr
    assert not (tmp_path / "elsewhere" / "venv").exists()


def test_a_disk_that_is_large_enough_is_not_mentioned(install):
    answer = install(50_000_000)
    assert "no-python was not found" in answer.stderr
    assert "GB" not in answer.stderr
