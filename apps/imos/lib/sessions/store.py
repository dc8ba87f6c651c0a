"""All sessions of this server, by image and client, under names that tell nothing of either."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from pathlib import Path

from lib.sessions.journal import POINTER, Journal

logger = logging.getLogger(__name__)

LONGEST_AGE_S = 30 * 24 * 3600  # a session that was not used for so long is removed
UNTOUCHED_S = 3600  # a file as old as this is not being written by another server
NAME_LENGTH = 40  # hexadecimal digits of a folder's name


class SessionStore:
    """Sessions in a folder: one folder per image, in it one per client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder, and remove old sessions and what crashes left.

        Raises:
            OSError: the folder cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time()
        for session in self._folder.glob("*/*/"):
            try:
                self._tidy(session, now)
            except OSError as error:
                logger.warning("Cannot tidy the session %s: %s", session, error)

    def journal(self, *, image: str, client: str) -> Journal:
        """The session of one client with one image; both are hashed, since they may name a patient."""
        return Journal(self._folder / _name(image) / _name(client))

    @staticmethod
    def _tidy(session: Path, now: float) -> None:
        pointer = session / POINTER
        touched = (pointer if pointer.is_file() else session).stat().st_mtime
        newest = max((path.stat().st_mtime for path in session.iterdir()), default=touched)
        if now - touched > LONGEST_AGE_S:
            shutil.rmtree(session)
        elif now - newest > UNTOUCHED_S:
            Journal(session).sweep()


def _name(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:NAME_LENGTH]
