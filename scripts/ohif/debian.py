"""Programs that Debian packages: installed when they are missing and we may, else a sentence that says what to type."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC_FILES = {Path("/usr/sbin/Orthanc"): "orthanc", DICOMWEB_PLUGIN: "orthanc-dicomweb"}  # file -> its package
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FILES = {CHROMIUM: "chromium"}
SECONDS_TO_INSTALL = 900
SECONDS_FOR_LOCK = 300  # another installation may be running


class NotInstalledError(RuntimeError):
    """A program is missing and could not be installed; the message says what to do."""


def install_missing(files: Mapping[Path, str]) -> None:
    """See that these files exist, installing the packages that hold them where this user may.

    Raises:
        NotInstalledError: a file is missing and cannot be had.
    """
    packages = sorted({package for file, package in files.items() if not file.exists()})
    if not packages:
        return
    by_hand = f"install them with: sudo apt-get install {' '.join(packages)}"
    missing = f"Debian's {' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} missing"
    if shutil.which("apt-get") is None:
        raise NotInstalledError(f"{missing}, and this system has no apt-get; use Debian or Ubuntu, or its container")
    rights = _rights()
    if rights is None:
        raise NotInstalledError(f"{missing}, and neither root nor sudo without a password is at hand; {by_hand}")
    print(f"install   {' '.join(packages)} (Debian packages)", flush=True)
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        command = [*rights, "apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={SECONDS_FOR_LOCK}", *arguments]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS_TO_INSTALL,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotInstalledError(
                f"{missing}, and apt-get did not end in {error.timeout:.0f} s; {by_hand}"
            ) from error
    still = sorted(str(file) for file in files if not file.exists())
    if still:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise NotInstalledError(f"{missing}, and apt-get could not bring {', '.join(still)} ({reason[0]}); {by_hand}")


def _rights() -> list[str] | None:
    """What must stand before a command that installs; None when this user may not."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive"]
    return None
