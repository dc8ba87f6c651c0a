"""Whose turn it is on a machine that a server and a training share: the server's, whenever it has a request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger(__name__)

LOCK = ".serving.lock"
LOOK_EVERY = 0.02  # seconds


class SharedMachine:
    """A lock in a folder that both know; the operating system frees it when its holder dies."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK

    @contextmanager
    def serving(self) -> Iterator[None]:
        """A request is being computed; who cannot write here shares the machine with no training."""
        lock = self._lock()
        try:
            if lock is not None:
                lock.acquire(poll_interval=LOOK_EVERY)
        except OSError as error:
            logger.warning("No lock at %s (%s): a training would not pause for requests", self._path, error)
            lock = None
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def wait_for_turn(self) -> None:
        """Return once no request is being computed."""
        lock = self._lock()
        if lock is not None:
            with lock.acquire(poll_interval=LOOK_EVERY):
                pass

    def _lock(self) -> FileLock | None:
        return FileLock(self._path) if self._path.parent.is_dir() else None
