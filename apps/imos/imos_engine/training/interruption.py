"""Ctrl-C and SIGTERM: a run ends after its step and can be resumed."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class Interruption:
    """Whether this process was asked to end: what `should_stop` of a run asks."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None  # the first that came

    def __call__(self) -> bool:
        """True once a signal came."""
        return self.signal is not None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            logger.info("stopping after this step")
        self.signal = self.signal or signal.Signals(number)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Note the signals instead of dying from them; only in the main thread, as Python demands.

    A second one changes nothing: under `torchrun` a single Ctrl-C arrives twice, from the terminal and from its agent.
    """
    noted = Interruption()
    before = {number: signal.signal(number, noted._note) for number in SIGNALS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Processes that are started meanwhile never see Ctrl-C, which a terminal sends to all it started.

    SIGTERM still ends them: it comes to one process, and is how their parent gets rid of them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
