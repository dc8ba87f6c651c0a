"""Smooth random functions of position along the sequence (slices) and of place in the frame.

Positions along the sequence are in slices; places in the frame are in frame widths (0 is the left or top edge, 1 the
right or bottom edge). Everything is made on a coarse grid and interpolated, because that is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
CANVAS = 64  # pixels along each side of a field's canvas, which spans places -0.5 to 1.5
UNIT_STD = 1.45  # a cubic B-spline of unit normal knots has a standard deviation of about 0.69


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """The tissue that each pixel shows: where it lies in the anatomy, and which slice of it."""

    x: FloatArray  # (T, H, W), frame widths
    y: FloatArray  # (T, H, W), frame widths
    positions: FloatArray  # (T,), slices

    @cached_property
    def coarse(self) -> tuple[FloatArray, FloatArray]:
        """The same places x and y at half the resolution, two arrays (T, H/2, W/2)."""
        height, width = self.x.shape[1:]
        half = (-(-width // 2), -(-height // 2))
        x, y = (
            np.stack([cv2.resize(frame, half, interpolation=cv2.INTER_AREA) for frame in places])
            for places in (self.x, self.y)
        )
        return x, y

    @cached_property
    def on_canvas(self) -> tuple[FloatArray, FloatArray]:
        """The same places in canvas pixels, at half the resolution, two arrays (T, H/2, W/2)."""
        scale = np.float32((CANVAS - 1) / 2)
        x, y = self.coarse
        return (x + np.float32(0.5)) * scale, (y + np.float32(0.5)) * scale


def spline_weights(positions: FloatArray, spacing: float) -> FloatArray:
    """Weights (T, knots) of uniform cubic B-splines whose knots are `spacing` slices apart; rows sum to 1."""
    return _spline_weights(tuple(positions.tolist()), spacing)


@lru_cache(maxsize=64)  # every shape of a scene asks for the same ones
def _spline_weights(positions: tuple[float, ...], spacing: float) -> FloatArray:
    scaled = (np.array(positions) - min(positions)) / spacing
    knot = np.floor(scaled).astype(int)
    f = scaled - knot
    parts = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
    weights = np.zeros((len(positions), int(knot.max()) + 4), np.float32)
    for offset, part in enumerate(parts):
        weights[np.arange(len(positions)), knot + offset] = part / 6
    return weights


def slow_paths(rng: np.random.Generator, positions: FloatArray, correlation: float, channels: int) -> FloatArray:
    """Smooth random paths (T, channels) of about unit variance that change over `correlation` slices."""
    weights = spline_weights(positions, correlation * 0.6)
    knots = rng.standard_normal((weights.shape[1], channels), dtype=np.float32)
    return np.asarray(weights @ knots * UNIT_STD, np.float32)


def slow_grids(
    rng: np.random.Generator, positions: FloatArray, *, correlation: float, wavelength: float, extent: float
) -> FloatArray:
    """Coarse random grids (T, n, n), one per frame, whose cells are half a wavelength wide over `extent` widths."""
    side = int(np.ceil(extent / (wavelength / 2))) + 1
    return slow_paths(rng, positions, correlation, side * side).reshape(len(positions), side, side)


def refined(coarse: FloatArray, width: int, height: int) -> FloatArray:
    """Frames (T, h, w) interpolated to a width and height in pixels, (T, H, W)."""
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in coarse])


def smooth_field(
    rng: np.random.Generator, coordinates: Coordinates, *, correlation: float, wavelength: float
) -> FloatArray:
    """A field (T, H, W) of about unit variance that sticks to the tissue and changes slowly along the sequence."""
    grids = slow_grids(rng, coordinates.positions, correlation=correlation, wavelength=wavelength, extent=2.0)
    map_x, map_y = coordinates.on_canvas
    field = np.empty_like(coordinates.x)
    size = coordinates.x.shape[:0:-1]
    for frame, grid in enumerate(grids):
        canvas = cv2.resize(grid, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
        coarse = cv2.remap(canvas, map_x[frame], map_y[frame], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        cv2.resize(coarse, size, field[frame], interpolation=cv2.INTER_LINEAR)  # smooth: half the pixels suffice
    return field


def screen_field(
    rng: np.random.Generator, positions: FloatArray, size: int, *, correlation: float, wavelength: float
) -> FloatArray:
    """A field (T, size, size) of about unit variance that stands still on the screen and changes slowly."""
    grids = slow_grids(rng, positions, correlation=correlation, wavelength=wavelength, extent=1.0)
    return np.stack([cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) for grid in grids])
