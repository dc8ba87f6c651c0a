"""One object's scores over a sequence, and the convention by which frames are averaged (stated here, nowhere else).

J and F are averaged over every frame except the seed, where the truth or the prediction is non-empty: a frame where
both are empty says nothing about the object and scores nothing, a frame where only one is empty scores 0. Dice and leak
are taken over the whole volume, the seed included, because that is what the user receives.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .boundary import boundary_accuracy
from .overlap import dice, leak, region_similarity

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SequenceScore:
    """How well one object was carried through a sequence; `nan` where nothing could be measured."""

    j: float  # mean region similarity per frame, 0 to 1
    f: float  # mean boundary accuracy per frame, 0 to 1
    dice: float  # over the whole volume, 0 to 1
    leak: float  # predicted pixels beyond the true extent, per true pixel
    frames: int  # frames that j and f average

    @property
    def jf(self) -> float:
        """Mean of J and F, the figure that video benchmarks rank by."""
        return (self.j + self.f) / 2


def score_sequence(prediction: Mask, truth: Mask, *, seeds: Collection[int]) -> SequenceScore:
    """Score one object against its truth.

    Shapes: prediction and truth (T, H, W); seeds holds the indices of the frames that were given to the method.
    """
    counted = scored_frames(prediction, truth, seeds=seeds)
    region = [region_similarity(prediction[index], truth[index]) for index in counted]
    boundary = [boundary_accuracy(prediction[index], truth[index]) for index in counted]
    return SequenceScore(
        j=_mean(region),
        f=_mean(boundary),
        dice=dice(prediction, truth),
        leak=leak(prediction, truth),
        frames=len(counted),
    )


def scored_frames(prediction: Mask, truth: Mask, *, seeds: Collection[int]) -> list[int]:
    """Indices of the frames that J and F average (see the convention above)."""
    present = prediction.any(axis=(1, 2)) | truth.any(axis=(1, 2))
    return [int(index) for index in np.flatnonzero(present) if int(index) not in seeds]


def largest_frame(truth: Mask) -> int:
    """Index of the frame of a (T, H, W) mask with most pixels, the first one of equals."""
    return int(truth.sum(axis=(1, 2)).argmax())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
