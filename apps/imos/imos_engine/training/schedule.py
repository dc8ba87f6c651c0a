"""Where a run stands, and what that means for learning rate and loss. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .recipe import Phase


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run stands."""

    phase: int = 0  # index into the recipe's phases
    step: int = 0  # optimizer steps done in this phase
    minutes: float = 0.0  # wall clock spent in this phase
    total_steps: int = 0  # optimizer steps done in all phases
    earlier_minutes: float = 0.0  # wall clock spent in the phases before
    frames: int = 0  # frames that the network has learned from, in all phases and processes

    @property
    def total_minutes(self) -> float:
        """Wall clock spent in all phases."""
        return self.earlier_minutes + self.minutes

    def after_step(self, phase: Phase, *, minutes: float, processes: int = 1) -> "Position":
        """Where the run stands one optimizer step later, `minutes` into the phase."""
        frames = phase.frames * phase.batch * phase.accumulate * processes
        return replace(
            self,
            step=self.step + 1,
            total_steps=self.total_steps + 1,
            minutes=minutes,
            frames=self.frames + frames,
        )

    def next_phase(self) -> "Position":
        """The beginning of the next phase."""
        return replace(self, phase=self.phase + 1, step=0, minutes=0.0, earlier_minutes=self.total_minutes)


def progress(phase: Phase, position: Position) -> float:
    """Share of the phase that is done, in [0, 1]."""
    if phase.steps is not None:
        return min(1.0, position.step / phase.steps)
    return min(1.0, position.minutes / (phase.minutes or 1.0))


def whole_progress(phases: Sequence[Phase], position: Position) -> float:
    """Share of the run that is done; phases weigh as their minutes, or all alike where some are in steps."""
    timed = all(phase.minutes for phase in phases)
    weights = [phase.minutes or 0.0 if timed else 1.0 for phase in phases]
    if position.phase >= len(phases):
        return 1.0
    partial = weights[position.phase] * progress(phases[position.phase], position)
    return (sum(weights[: position.phase]) + partial) / sum(weights)


def learning_rate(phase: Phase, done: float) -> float:
    """Linear warm-up from zero, then a half cosine from the first to the second learning rate."""
    start, end = phase.learning_rate
    rise = min(1.0, (done + 1e-3) / phase.warm_up) if phase.warm_up else 1.0
    return rise * (end + (start - end) * (1 + math.cos(math.pi * done)) / 2)


def hardest_share(phase: Phase, done: float) -> float:
    """Share of pixels that the cross-entropy counts."""
    start, end = phase.hardest_pixels
    return start + (end - start) * done
