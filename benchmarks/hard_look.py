"""A look that no training of ours has shown: inside and outside of a structure are equally bright on average.

Only the grain tells them apart, fine inside, coarse outside. Volumes are made of numbers, so that a site can be played
through without a patient's data.
"""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

SHAPE = (96, 96, 24)
SPACING_MM = (1.0, 1.0, 3.0)
LEVEL, CONTRAST = 500, 100  # mean and deviation of the stored values
FINE, COARSE = (1.0, 1.0, 1.0), (4.0, 4.0, 1.0)  # grain, in voxels


def grainy_volume(
    seed: int, *, shape: tuple[int, int, int] = SHAPE
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Image and label, both (I, J, K): one winding structure with an uneven outline."""
    random = np.random.default_rng(seed)
    fine, coarse = (_grain(random, shape, size) for size in (FINE, COARSE))
    labels = _winding(random, shape)
    return (np.where(labels > 0, fine, coarse) * CONTRAST + LEVEL).astype(np.int16), labels


def save(path: Any, array: npt.NDArray[Any]) -> None:
    """Write a NIfTI file on the grid of these volumes."""
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*SPACING_MM, 1.0])), path)


def _winding(random: np.random.Generator, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    rows, columns, slices = np.indices(shape, dtype=float)
    middle, side, depth = shape[0] / 2, shape[0] / 7, shape[2] / 2
    start, phase = random.uniform(-side, side, 2), random.uniform(0, 6, 2)
    centre_row = middle + start[0] + 0.6 * side * np.sin(slices / 8 + phase[0])
    centre_column = middle + start[1] + 0.6 * side * np.cos(slices / 9 + phase[1])
    radius = random.uniform(0.14, 0.2) * shape[0] * np.sqrt(np.clip(1 - ((slices - depth) / (depth + 1)) ** 2, 0, 1))
    outline = 0.03 * shape[0] * _grain(random, shape, (6.0, 6.0, 4.0))
    return (np.hypot(rows - centre_row, columns - centre_column) + outline < radius).astype(np.uint8)


def _grain(
    random: np.random.Generator, shape: tuple[int, int, int], size: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    noise = gaussian_filter(random.standard_normal(shape), size)
    scaled: npt.NDArray[np.float64] = noise / noise.std()
    return scaled
