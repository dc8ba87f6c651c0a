"""A MONAI Label server for as long as a `with` block lasts; whatever happens inside, nothing is left running."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.processes import free_port, serving

APP = Path(__file__).resolve().parents[2] / "apps" / "imos"
SECONDS_TO_START = 300  # a cold disk and two cores; usually far less


@contextmanager
def running_server(
    studies: Path, *, log: Path, conf: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start `monailabel start_server` on a free port of this machine; yields its address once it answers.

    Raises:
        RuntimeError: the server ended or did not answer in time; the message holds the end of its log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(
        command(studies.resolve(), port=port, conf=conf or {}),
        answers=f"{url}/info/",
        log=log,
        environment=environment,
        name="the server",
        seconds_to_start=SECONDS_TO_START,
    ):
        yield url


def command(studies: Path, *, port: int, conf: Mapping[str, object]) -> list[str]:
    """The command line that serves a study folder to this machine alone."""
    pairs = [text for key, value in conf.items() for text in ("--conf", key, str(value))]
    start = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP), "--studies", str(studies)]
    return [*start, "--host", "127.0.0.1", "--port", str(port), *pairs]
