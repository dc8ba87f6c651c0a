"""How much memory a stretch of code takes, as the operating system sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import psutil

SAMPLING_SECONDS = 0.01


@dataclass
class ResidentMemory:
    """Resident bytes of this process: at the start, and the most seen since."""

    start: int
    peak: int

    @property
    def growth_mib(self) -> float:
        """Peak above the start, in MiB."""
        return (self.peak - self.start) / 2**20


@contextmanager
def resident_memory() -> Iterator[ResidentMemory]:
    """Watch this process's resident memory, sampled from a thread, until the block ends."""
    process = psutil.Process()
    start = process.memory_info().rss
    seen, finished = ResidentMemory(start, start), Event()

    def watch() -> None:
        while not finished.wait(SAMPLING_SECONDS):
            seen.peak = max(seen.peak, process.memory_info().rss)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        finished.set()
        watcher.join()
        seen.peak = max(seen.peak, process.memory_info().rss)
