"""Sequences and seeds made up for tests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import gaussian_filter

from imos_engine.intensity import Intensity
from imos_engine.sequence import FrameSequence, Seed

GREY = Intensity(low=0.0, high=1.0, mean=0.5, deviation=0.25)


def moving_images(count: int, height: int = 48, width: int = 64, *, colour: bool = False) -> np.ndarray:
    """Smooth texture that changes slowly, 0 to 1: (T, H, W) or (T, H, W, 3)."""
    random = np.random.default_rng([count, height, width])
    noise = random.standard_normal((count, height, width, 3 if colour else 1))
    smooth = gaussian_filter(noise, sigma=(2, 3, 3, 0))
    return np.clip(0.5 + 0.25 * smooth / smooth.std(), 0, 1)[..., slice(None) if colour else 0]


def moving_frames(count: int, height: int = 48, width: int = 64, *, colour: bool = False) -> FrameSequence:
    """The same as a sequence of frames."""
    return FrameSequence(moving_images(count, height, width, colour=colour), GREY)


def seed_on(
    index: int, *ids: int, size: tuple[int, int] = (48, 64), objects: Iterable[int] | None = None, offset: int = 0
) -> Seed:
    """A seed with one rectangle per id, side by side; `objects` may declare more ids than are drawn."""
    height, width = size
    labels = np.zeros(size, dtype=np.uint16)
    for position, object_id in enumerate(ids):
        left = (position * width) // max(len(ids), 1)
        labels[height // 4 + offset : 3 * height // 4, left : left + width // (len(ids) + 1)] = object_id
    return Seed(index=index, labels=labels, objects=frozenset(ids if objects is None else objects))
