"""A program that serves HTTP, for as long as a `with` block lasts; whatever happens inside, nothing is left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

SECONDS_TO_START = 900.0  # a cold disk and two cores that others keep busy; usually far less
SECONDS_TO_STOP = 15.0


@contextmanager
def serving(
    command: Sequence[str],
    *,
    answers: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    name: str | None = None,
    seconds_to_start: float = SECONDS_TO_START,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; yields once a GET of the address `answers` succeeds. Messages call it `name`, or by its file's.

    Raises:
        RuntimeError: the program ended or did not answer in time; the message holds the end of its log.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **(environment or {})},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one group: what the program starts ends with it, and Ctrl-C reaches us alone
        )
    try:
        _wait_until_up(process, answers, log, name or Path(command[0]).name, seconds_to_start)
        yield process
    finally:
        _stop(process)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: Path, name: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with code {process.returncode}; the end of {log}:\n{_end_of(log)}")
        with suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(address, timeout=10).ok:
                return
        time.sleep(0.3)
    raise RuntimeError(f"{name} did not answer in {seconds:.0f} s; the end of {log}:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    for request in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, request)
        with suppress(subprocess.TimeoutExpired):  # then the stronger request follows
            process.wait(SECONDS_TO_STOP)
