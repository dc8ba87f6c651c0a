"""A bright disk that moves over a textured ground, for methods that look at images."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

FRAMES = 8


def moving_disk(*, step: int = 2, colour: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Images (T, H, W) or (T, H, W, 3) of 8 bits and the disk's mask (T, H, W); it moves `step` pixels a frame."""
    texture = gaussian_filter(np.random.default_rng(3).normal(size=(64, 64)), 1.5)
    texture = 30 * texture / texture.std()
    rows, columns = np.indices((64, 64))
    truth = np.stack([np.hypot(rows - 30, columns - 22 - step * index) < 9 for index in range(FRAMES)])
    moved = np.stack([np.roll(texture, step * index, axis=1) for index in range(FRAMES)])
    grey = np.clip(np.where(truth, 190 + 0.3 * moved, 70 + 0.6 * texture), 0, 255).astype(np.uint8)
    return (np.repeat(grey[..., None], 3, axis=3) if colour else grey), truth
