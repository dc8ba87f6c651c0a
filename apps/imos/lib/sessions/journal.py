"""The steps of one session on disk: every one complete, and a pointer that says which one counts.

A step is written beside, flushed, renamed; then the pointer is. So after a crash at any moment the pointer names steps
that are whole, and files that it does not name mean nothing.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from lib.sessions.archive import ArchiveError, read_step, step_bytes
from lib.sessions.step import Step

logger = logging.getLogger(__name__)

MOST_STEPS = 50  # the oldest are dropped
POINTER = "pointer.json"
PARTIAL = ".partial"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Which steps there are, and how many of them count."""

    steps: Sequence[str] = ()  # names of files, the oldest first
    position: int = 0  # steps that count; those after it can be redone
    forgotten: bool = False  # older steps were dropped: the beginning cannot be reached any more

    @property
    def can_undo(self) -> bool:
        """Whether there is a state before this one."""
        return self.position > (1 if self.forgotten else 0)

    @property
    def can_redo(self) -> bool:
        """Whether a step was undone that can be done again."""
        return self.position < len(self.steps)

    @property
    def before(self) -> Pointer:
        """After undoing one step."""
        return replace(self, position=self.position - 1)

    @property
    def after(self) -> Pointer:
        """After redoing one step."""
        return replace(self, position=self.position + 1)


class Journal:
    """The folder of one image and client; nothing is in it until the first step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def pointer(self) -> Pointer:
        """Where the session stands; the start where there is none, or none that can be read."""
        try:
            plain = json.loads((self._folder / POINTER).read_text(encoding="utf-8"))
            return Pointer(
                steps=[str(name) for name in plain["steps"]],
                position=int(plain["position"]),
                forgotten=bool(plain["forgotten"]),
            )
        except FileNotFoundError:
            return Pointer()
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("The session in %s cannot be read and starts over: %s", self._folder, error)
            return Pointer()

    def step_at(self, pointer: Pointer) -> Step | None:
        """The step that a pointer says counts; None at the start.

        Raises:
            ArchiveError: it cannot be read.
        """
        if pointer.position == 0:
            return None
        path = self._folder / pointer.steps[pointer.position - 1]
        try:
            return read_step(path.read_bytes())
        except OSError as error:
            raise ArchiveError(f"the step cannot be read: {error}") from error

    def append(self, step: Step, *, starts_over: bool = False) -> None:
        """Put a step after the one that counts; what had been undone is forgotten, or all with `starts_over`.

        Raises:
            OSError: it cannot be written; the journal is as it was.
        """
        _private_folders(self._folder)
        old = self.pointer
        name = f"{uuid4().hex}.step"
        _write(self._folder / name, step_bytes(step))
        kept = [] if starts_over else list(old.steps[: old.position])
        steps = [*kept, name][-MOST_STEPS:]
        forgotten = not starts_over and (old.forgotten or len(kept) + 1 > MOST_STEPS)
        self.move(Pointer(steps=steps, position=len(steps), forgotten=forgotten))
        for gone in set(old.steps) - set(steps):
            (self._folder / gone).unlink(missing_ok=True)

    def move(self, pointer: Pointer) -> None:
        """Let another step count.

        Raises:
            OSError: it cannot be written; the journal is as it was.
        """
        plain = {"steps": list(pointer.steps), "position": pointer.position, "forgotten": pointer.forgotten}
        _write(self._folder / POINTER, json.dumps(plain).encode())

    def clear(self) -> None:
        """Forget everything."""
        (self._folder / POINTER).unlink(missing_ok=True)  # first: without it, the rest means nothing
        shutil.rmtree(self._folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove files that a crash left, which the pointer does not name."""
        named = {POINTER, *self.pointer.steps}
        for path in self._folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)


def _private_folders(folder: Path) -> None:
    """Make a session's folder, and that of its image, for nobody else's eyes."""
    for one in (folder.parent, folder):
        one.mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write beside, flush, rename: the file is the old one or the new one, never half of it."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}{PARTIAL}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
