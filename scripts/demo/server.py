"""A MONAI Label server for as long as a `with` block lasts; whatever happens inside, nothing is left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

APP = Path(__file__).resolve().parents[2] / "apps" / "imos"
SECONDS_TO_START = 300  # a cold disk and two cores; usually far less
SECONDS_TO_STOP = 15


@contextmanager
def running_server(
    studies: Path, *, log: Path, conf: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start `monailabel start_server` on a free port of this machine; yields its address once it answers.

    Raises:
        RuntimeError: the server ended or did not answer in time; the message holds the end of its log.
    """
    port = _free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(studies.resolve(), port=port, conf=conf or {}),
            env={**os.environ, **(environment or {})},
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one group: what the server starts ends with it
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(process, url, log)
        yield url
    finally:
        _stop(process)


def command(studies: Path, *, port: int, conf: Mapping[str, object]) -> list[str]:
    """The command line that serves a study folder to this machine alone."""
    pairs = [text for key, value in conf.items() for text in ("--conf", key, str(value))]
    start = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP), "--studies", str(studies)]
    return [*start, "--host", "127.0.0.1", "--port", str(port), *pairs]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}; the end of {log}:\n{_end_of(log)}")
        try:
            if requests.get(f"{url}/info/", timeout=10).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.3)
    raise RuntimeError(f"the server did not answer in {SECONDS_TO_START} s; the end of {log}:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    for request in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, request)
        with suppress(subprocess.TimeoutExpired):  # then the stronger request follows
            process.wait(SECONDS_TO_STOP)
