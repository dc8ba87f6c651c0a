"""Boundary accuracy F, as the DAVIS benchmark defines it: do two outlines run within a small distance of each other?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Mask = NDArray[np.bool_]

TOLERANCE = 0.008  # of the image diagonal


def boundary_pixels(mask: Mask) -> Mask:
    """Pixels of a (H, W) mask that differ from their right, lower or lower right neighbour.

    The image border itself is no boundary: an object that leaves the image has an open outline.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    outline: Mask = (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])
    return outline


def tolerance_pixels(shape: tuple[int, ...], *, tolerance: float = TOLERANCE) -> int:
    """Distance in whole pixels, rounded up, at which two outlines still count as the same."""
    return math.ceil(tolerance * math.hypot(*shape))


def boundary_accuracy(prediction: Mask, truth: Mask, *, tolerance: float = TOLERANCE) -> float:
    """F: harmonic mean of boundary precision and recall of two (H, W) masks, 0 to 1.

    Precision is the share of predicted outline within `tolerance` (of the image diagonal) of the true outline; recall
    the converse. Two masks without outline agree (1); if only one has an outline, F is 0.
    """
    if prediction.shape != truth.shape or prediction.ndim != 2:
        raise ValueError(f"expected two (H, W) masks of one shape, got {prediction.shape} and {truth.shape}")
    radius = tolerance_pixels(prediction.shape, tolerance=tolerance)
    window = _window_around(prediction | truth, margin=radius + 1)
    predicted, true = boundary_pixels(prediction[window]), boundary_pixels(truth[window])
    if not predicted.any() or not true.any():
        return float(predicted.any() == true.any())
    precision = np.count_nonzero(predicted & _within(radius, true)) / np.count_nonzero(predicted)
    recall = np.count_nonzero(true & _within(radius, predicted)) / np.count_nonzero(true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _within(radius: int, outline: Mask) -> Mask:
    """Pixels whose distance to the outline is at most `radius` (the outline dilated by a disk)."""
    near: Mask = distance_transform_edt(~outline) <= radius
    return near


def _window_around(mask: Mask, *, margin: int) -> tuple[slice, slice]:
    """Bounding box of a (H, W) mask, widened by `margin` pixels and cut at the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return slice(0, 1), slice(0, 1)
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
