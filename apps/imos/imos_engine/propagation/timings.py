"""Where the seconds of one propagation went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter


@dataclass(kw_only=True)
class Timings:
    """Seconds per stage (on a GPU: seconds until the work was queued), and frames counted."""

    encode: float = 0.0
    read: float = 0.0
    decode: float = 0.0
    flow: float = 0.0
    refine: float = 0.0
    write: float = 0.0
    merge: float = 0.0
    total: float = 0.0
    frames: int = 0  # windows visited, counting both passes
    cached_frames: int = 0  # of these, those whose features were already encoded

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to one stage."""
        started = perf_counter()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + perf_counter() - started)

    def to_dict(self) -> dict[str, float | int]:
        """Plain numbers, seconds rounded to 0.1 ms."""
        return {name: round(value, 4) for name, value in asdict(self).items()}
