"""What happens between two steps of a training: making way for requests, and noticing a signal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from time import monotonic

from imos_engine.adapters.turns import SharedMachine

logger = logging.getLogger(__name__)

NICENESS = 10  # of 19: a request's threads go first wherever both want the same core
TELL_EVERY = 10.0  # seconds


class Pacing:
    """Asked after every step; True ends the training, which can be resumed."""

    def __init__(self, machine: SharedMachine, *, interrupted: Callable[[], bool]) -> None:
        self._machine, self._interrupted = machine, interrupted
        self._started = self._told = monotonic()
        self.waited = 0.0  # seconds, for requests

    def __call__(self) -> bool:
        """Wait while a request is served; then go on, unless a signal came."""
        before = monotonic()
        self._machine.wait_for_turn()
        now = monotonic()
        self.waited += now - before
        if now - self._told >= TELL_EVERY:
            self._told = now
            spent = now - self._started
            logger.info("Training since %.0f s, of which %.0f s were left to requests", spent, self.waited)
        return self._interrupted()


def stand_back() -> None:
    """Let this process run at low priority, unless it is the server itself."""
    if "monailabel.app" not in sys.modules and hasattr(os, "nice"):
        os.nice(NICENESS)
