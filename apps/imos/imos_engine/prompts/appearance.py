"""How much every pixel of a slice looks like what was marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

SMOOTHING = 1.0  # pixels; below it lies noise
CLICK_RADIUS, STROKE_RADIUS = 3, 1  # pixels around a mark that count as its tissue: a click alone shows no texture
STROKE_PIXELS = 12  # marks with fewer pixels are clicks
TISSUE_RANGE = (25.0, 75.0)  # percentiles of the samples between which a value is fully typical
CONTRAST_SHARE = 0.02  # of the contrast around the marks: the least spread that a tissue has
FARTHEST = 4.0  # spreads beyond the typical range at which a value cannot look less alike


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """A slice seen from the marked tissue; all in units of the tissue's own spread."""

    difference: Pixels  # (H, W), 0 (typical) to FARTHEST (foreign)
    gradient: Pixels  # (H, W), change per pixel, of values clipped to what the tissue can tell apart


def model_appearance(image: Pixels, marks: Mask) -> Appearance:
    """Compare every pixel of a slice with the tissue around the marks.

    Shapes: image (H, W, C) of any scale, finite; marks (H, W), at least one true. The spread is measured on the marked
    tissue, so that faint differences count in a uniform organ and large ones do not in a mottled one.
    """
    smooth = ndimage.gaussian_filter(image, (SMOOTHING, SMOOTHING, 0))
    radius = CLICK_RADIUS if np.count_nonzero(marks) < STROKE_PIXELS else STROKE_RADIUS
    samples = smooth[ndimage.binary_dilation(marks, iterations=radius)]
    middle = np.median(samples, axis=0)
    deviation = 1.4826 * np.median(np.abs(samples - middle), axis=0)
    spread = np.maximum(deviation, CONTRAST_SHARE * _contrast_around(smooth, marks)) + np.float32(1e-6)
    low, high = np.percentile(samples, TISSUE_RANGE, axis=0)
    outside = np.maximum(0.0, np.maximum(low - smooth, smooth - high)) / spread
    values = (np.clip(smooth, low - FARTHEST * spread, high + FARTHEST * spread) - middle) / spread
    return Appearance(
        difference=np.minimum(np.sqrt((outside**2).sum(axis=2)), FARTHEST).astype(np.float32),
        gradient=_gradient(values),
    )


def _contrast_around(smooth: Pixels, marks: Mask) -> NDArray[np.float32]:
    """Range of values per channel in a window about three times as wide as the marks; at least a little."""
    rows, columns = np.nonzero(marks)
    margin = 8 + max(int(np.ptp(rows)), int(np.ptp(columns)))
    window = smooth[
        max(0, rows.min() - margin) : rows.max() + margin + 1,
        max(0, columns.min() - margin) : columns.max() + margin + 1,
    ]
    low, high = np.percentile(window, (5, 95), axis=(0, 1))
    contrast: NDArray[np.float32] = np.asarray(high - low, dtype=np.float32)
    return contrast


def _gradient(values: Pixels) -> Pixels:
    """Length of the change per pixel over all channels, (H, W)."""
    squares = [
        ndimage.gaussian_gradient_magnitude(values[..., channel], 0.7) ** 2 for channel in range(values.shape[2])
    ]
    gradient: Pixels = np.sqrt(np.sum(squares, axis=0)).astype(np.float32)
    return gradient
