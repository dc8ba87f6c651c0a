"""A look that no training of ours has shown: bodies whose contrast reverses from slice to slice.

So does a stack of bright-field micrographs taken through focus: what is clear and lies on one side of the focus is
brighter than its surroundings, on the other side darker, and in focus only a thin dark rim is left of it. What the
seed slice says of brightness is wrong a few slices on; the rim is always there. Bodies of the same kind lie around the
one that is labelled and touch it. Volumes are made of numbers, so that a site can be played without a patient's data.
"""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.float64]

SHAPE = (96, 96, 16)
SPACING_MM = (1.0, 1.0, 3.0)
LEVEL, SCALE = 500, 100  # stored value of the surroundings; of a body's contrast at its largest
PERIOD = 10.0  # slices in which the contrast reverses and comes back
RIM = 2.0  # how much darker the rim is, over the slope of a body's edge
FINE, COARSE = (1.0, 1.0, 0.5), (12.0, 12.0, 4.0)  # grain, and unevenness of the light, in voxels
GRAIN, UNEVENNESS = 0.35, 0.3  # over a body's contrast
NEIGHBOURS = 5  # other bodies
SWAY = 6.0  # voxels by which a body's middle moves to and fro


def through_focus_volume(
    seed: int, *, shape: tuple[int, int, int] = SHAPE
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Image and label, both (I, J, K): one body among others, largest in the middle slice."""
    random = np.random.default_rng(seed)
    middle = np.array(shape[:2]) / 2
    around = shape[0] * 0.35
    labelled = _body(random, shape, middle + random.uniform(-0.08, 0.08, 2) * shape[0], random.uniform(0.15, 0.2))
    bodies = labelled.astype(float)
    for angle in random.uniform(0, 2 * np.pi) + np.arange(NEIGHBOURS) * 2 * np.pi / NEIGHBOURS:
        place = middle + around * np.array([np.sin(angle), np.cos(angle)])
        bodies[_body(random, shape, place, random.uniform(0.07, 0.13))] = 1.0
    contrast = np.sin(2 * np.pi * (np.arange(shape[2]) / PERIOD + random.uniform()))
    soft = gaussian_filter(bodies, (1.0, 1.0, 0.0))
    rim = np.hypot(*np.gradient(soft, axis=(0, 1)))
    shown = (
        soft * contrast - RIM * rim + GRAIN * _grain(random, shape, FINE) + UNEVENNESS * _grain(random, shape, COARSE)
    )
    return (shown * SCALE + LEVEL).astype(np.int16), labelled.astype(np.uint8)


def save(path: Any, array: npt.NDArray[Any]) -> None:
    """Write a NIfTI file on the grid of these volumes."""
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*SPACING_MM, 1.0])), path)


def _body(
    random: np.random.Generator, shape: tuple[int, int, int], place: Array, radius: float
) -> npt.NDArray[np.bool_]:
    """A winding body with an uneven outline, (I, J, K). `radius` is its largest, over the side of a slice."""
    rows, columns, slices = np.indices(shape, dtype=float)
    phase, depth = random.uniform(0, 2 * np.pi, 2), shape[2] / 2
    row, column = place[0] + SWAY * np.sin(slices / 5 + phase[0]), place[1] + SWAY * np.cos(slices / 6 + phase[1])
    here = radius * shape[0] * np.sqrt(np.clip(1 - ((slices - depth) / (depth + 1)) ** 2, 0, 1))
    outline = 0.03 * shape[0] * _grain(random, shape, (6.0, 6.0, 4.0))
    return np.asarray(np.hypot(rows - row, columns - column) + outline < here)


def _grain(random: np.random.Generator, shape: tuple[int, int, int], size: tuple[float, float, float]) -> Array:
    noise = gaussian_filter(random.standard_normal(shape), size)
    scaled: Array = noise / noise.std()
    return scaled
