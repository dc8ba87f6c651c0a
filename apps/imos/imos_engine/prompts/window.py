"""A square window of a slice, seen with a fixed number of pixels, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

LEAST_SIDE = 8.0  # pixels of the slice: below, a window shows interpolation only


@dataclass(frozen=True, kw_only=True)
class Window:
    """A square on a slice, in pixels; pixel r covers rows r to r + 1. It may reach beyond the slice."""

    top: float
    left: float
    side: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.side) and self.side > 0):
            raise ValueError(f"a window's side must be above 0 pixels, got {self.side}")

    @staticmethod
    def around(row: float, column: float, side: float) -> Window:
        """The window whose middle is at (row, column), at least LEAST_SIDE wide."""
        side = max(side, LEAST_SIDE)
        return Window(top=row - side / 2, left=column - side / 2, side=side)

    def image(self, pixels: Pixels, size: int) -> Pixels:
        """(H, W, C) of the slice to (size, size, C) of the window; beyond the slice its border repeats."""
        return self._warped(pixels, size, border=cv2.BORDER_REPLICATE)

    def share(self, mask: Mask | Pixels, size: int) -> Pixels:
        """(H, W) mask or probability of the slice to (size, size), 0 to 1: how much of each pixel it covers."""
        covered = self._warped(mask.astype(np.float32)[..., None], size, border=cv2.BORDER_CONSTANT)[..., 0]
        return np.clip(covered, 0, 1)

    def touched(self, marks: Mask, size: int) -> Mask:
        """(H, W) marks of the slice to (size, size): the thinnest stroke and a single click survive."""
        rows, columns = np.nonzero(marks)
        scale = size / self.side
        row = np.floor((rows + 0.5 - self.top) * scale).astype(int)
        column = np.floor((columns + 0.5 - self.left) * scale).astype(int)
        inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
        touched = np.zeros((size, size), dtype=bool)
        touched[row[inside], column[inside]] = True
        if scale > 1 and touched.any():  # what was one pixel is several now
            width = math.ceil(scale)
            touched = cv2.dilate(touched.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
        return touched

    def within(self, shape: tuple[int, ...], size: int) -> Mask:
        """(size, size): where the window shows a pixel of a slice of `shape`."""
        middle = (np.arange(size) + 0.5) * self.side / size
        rows, columns = middle + self.top, middle + self.left
        return np.outer((rows >= 0) & (rows < shape[0]), (columns >= 0) & (columns < shape[1]))

    def restore(self, probability: Pixels, shape: tuple[int, ...]) -> Pixels:
        """(size, size) of the window to (H, W) of a slice of `shape`, 0 outside the window."""
        size = probability.shape[0]
        scale = size / self.side
        shift = 0.5 * scale - 0.5
        to_window = np.array([[scale, 0, shift - self.left * scale], [0, scale, shift - self.top * scale]])
        # A border of zeros would pull the outermost pixels of the window down: repeat it, then cut.
        repeated = _sample(_softened(probability[..., None], scale), to_window, shape, border=cv2.BORDER_REPLICATE)
        rows, columns = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
        inside = np.outer(
            (rows >= self.top) & (rows < self.top + self.side),
            (columns >= self.left) & (columns < self.left + self.side),
        )
        restored: Pixels = np.where(inside, repeated[..., 0], np.float32(0))
        return restored

    def _warped(self, pixels: Pixels, size: int, *, border: int) -> Pixels:
        factor = self.side / size
        reach = 2 + math.ceil(2 * factor)  # pixels around the window that its smoothing looks at
        top, left = max(0, math.floor(self.top) - reach), max(0, math.floor(self.left) - reach)
        part = pixels[top : math.ceil(self.top + self.side) + reach, left : math.ceil(self.left + self.side) + reach]
        if part.size == 0:
            return np.zeros((size, size, pixels.shape[2]), np.float32)
        shift = 0.5 * factor - 0.5
        to_slice = np.array([[factor, 0, shift + self.left - left], [0, factor, shift + self.top - top]])
        return _sample(_softened(part, factor), to_slice, (size, size), border=border)


def _softened(pixels: Pixels, factor: float) -> Pixels:
    """Smoothed as far as it is about to be reduced by `factor`."""
    if factor <= 1:
        return pixels
    soft = cv2.GaussianBlur(pixels, (0, 0), (factor - 1) / 2 + 1e-3, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32).reshape(pixels.shape)


def _sample(pixels: Pixels, to_pixels: NDArray[np.float64], shape: tuple[int, ...], *, border: int) -> Pixels:
    """(H, W, C) at the places that an affine map gives for every pixel of a grid of `shape`, linearly."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(
        np.ascontiguousarray(pixels), to_pixels, (shape[1], shape[0]), flags=flags, borderMode=border
    )
    return np.asarray(sampled, np.float32).reshape(*shape[:2], pixels.shape[2])
