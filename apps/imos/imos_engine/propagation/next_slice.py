"""Which frame to annotate next: the one where a further seed should win most, and how much.

Every frame has an expected loss: how many of the object's pixels are probably wrong there. A seed helps the frames up
to the neighbouring seeds, the nearer ones more. What it should win is the sum of the losses that it helps, each by how
much nearer its frame comes to a seed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GainConfig:
    """How losses and help are judged; the numbers were fitted on synthetic clips (docs/accuracy.md)."""

    fading: float = 2.0  # frames beyond an object's end over which the chance that it goes on falls to 1/e
    share_won: float = 0.65  # of the gain by this rule, what was really won on average
    least: float = 0.005  # Dice; a correction that should win less is not worth the effort
    prompted_dice: float = 0.8  # of the mask that a few strokes, points or a box make of their slice

    def __post_init__(self) -> None:
        """Refuse what is no length or share."""
        if not self.fading > 0:
            raise ValueError(f"fading must be above 0 frames, got {self.fading}")
        if not 0 < self.share_won <= 1:
            raise ValueError(f"share_won must lie above 0 and not above 1, got {self.share_won}")
        if not 0 <= self.least < 1:
            raise ValueError(f"least must lie between 0 and 1, got {self.least}")
        if not 0 <= self.prompted_dice <= 1:
            raise ValueError(f"prompted_dice must lie between 0 and 1, got {self.prompted_dice}")


@dataclass(frozen=True, kw_only=True)
class CarriedObject:
    """One object as it was carried through the frames that were computed."""

    areas: Mapping[int, int]  # pixels by frame; a frame without the object is 0
    confidence: Mapping[int, float]  # by the same frames, 0 to 1: as `FrameResult.confidence`
    given: Collection[int]  # frames on which a person said where the object is, or that it is not there


@dataclass(frozen=True, kw_only=True)
class NextFrame:
    """Where a further seed should win most."""

    frame: int
    gain: float  # Dice of the whole sequence that it should win, 0 to 1
    first: int  # the frames that it helps, from `first` to `last`, both included
    last: int


def next_frame(carried: CarriedObject, config: GainConfig | None = None) -> NextFrame | None:
    """The frame to annotate next, the first of equals; None when nothing can be won on the computed frames."""
    config = config or GainConfig()
    frames = np.array(sorted(carried.areas), dtype=int)
    losses = expected_losses(carried, fading=config.fading)
    total = sum(carried.areas.values()) or 1.0
    best: NextFrame | None = None
    for before, after in _stretches(frames, carried.given):
        inside = (frames > before) & (frames < after)
        if not inside.any():
            continue
        places = frames[inside]
        gains = config.share_won * _gains(places, losses[inside], before, after) / total
        at = int(gains.argmax())
        if gains[at] > 0 and (best is None or gains[at] > best.gain):
            gain = min(float(gains[at]), 1.0)
            best = NextFrame(frame=int(places[at]), gain=gain, first=int(places[0]), last=int(places[-1]))
    return best


def review_gain(carried: CarriedObject, config: GainConfig | None = None) -> float:
    """Dice of the whole sequence, 0 to 1, that the true mask should win in place of an only seed that was prompted.

    What is wrong in the seed is carried everywhere: every mask becomes as much better as the seed does.
    """
    config = config or GainConfig()
    right = sum(area * carried.confidence[frame] for frame, area in carried.areas.items())
    return (1.0 - config.prompted_dice) * right / (sum(carried.areas.values()) or 1)


def expected_losses(carried: CarriedObject, *, fading: float) -> Numbers:
    """Pixels of the object that are probably wrong, on every computed frame in ascending order, at least 0.

    An empty frame may hold what the nearest mask holds; the farther that is, the less likely.
    """
    frames = np.array(sorted(carried.areas), dtype=int)
    areas = np.array([carried.areas[frame] for frame in frames], dtype=float)
    doubt = np.array([0.0 if frame in carried.given else 1.0 - carried.confidence[frame] for frame in frames])
    held = np.flatnonzero(areas)
    if not held.size:
        return doubt
    nearest = held[np.abs(frames[held][None] - frames[:, None]).argmin(axis=1)]
    beyond = np.abs(frames[nearest] - frames)
    return doubt * areas[nearest] * np.exp(-beyond / fading)


def distance_to_seeds(frames: Numbers, before: float, after: float) -> Numbers:
    """How far frames are from the seeds around them, in frames: half their harmonic mean, so that both count.

    `before` and `after` are the neighbouring seeds, minus or plus infinity where there is none; 0 on a seed.
    """
    to_before, to_after = frames - before, after - frames
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / (1.0 / to_before + 1.0 / to_after))


def _stretches(frames: npt.NDArray[np.int_], given: Collection[int]) -> list[tuple[float, float]]:
    """Neighbouring seeds, with infinities before the first and after the last."""
    return list(pairwise([-math.inf, *sorted(given), math.inf]))


def _gains(places: npt.NDArray[np.int_], losses: Numbers, before: float, after: float) -> Numbers:
    """Pixels that a seed on each of `places`, the frames between two seeds, should put right; both (N,)."""
    now = places.astype(float)
    far = distance_to_seeds(now, before, after)
    gains = np.zeros(len(now))
    for number, seed in enumerate(now):
        nearer = np.where(now < seed, distance_to_seeds(now, before, seed), distance_to_seeds(now, seed, after))
        gains[number] = losses @ (1.0 - nearer / far)
    return gains
