"""A smaller view of a part of a slice, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .slice_prompts import Marks

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """A window of a slice, seen with fewer pixels (never with more)."""

    full: tuple[int, int]  # height and width of the slice
    window: tuple[slice, slice]
    small: tuple[int, int]  # height and width of the view

    @staticmethod
    def to_fit(box: tuple[int, int, int, int], full: tuple[int, int], *, pixels: int) -> Reduction:
        """View of `box` (first row, first column, end row, end column) whose longer side has at most `pixels`."""
        top, left, bottom, right = box
        factor = max(1.0, max(bottom - top, right - left) / pixels)
        small = (math.ceil((bottom - top) / factor), math.ceil((right - left) / factor))
        return Reduction(full=full, window=(slice(top, bottom), slice(left, right)), small=small)

    def reduce_image(self, pixels: Pixels) -> Pixels:
        """(H, W, C) of the slice to (h, w, C) of the view, smoothed as far as it is reduced."""
        window = pixels[self.window]
        if window.shape[:2] == self.small:
            return window
        factor = [full / small for full, small in zip(window.shape[:2], self.small, strict=True)]
        blurred = ndimage.gaussian_filter(window, [*((side - 1) / 2 for side in factor), 0])
        return _sampled(blurred, self.small)

    def reduce_mask(self, mask: Mask) -> Mask:
        """(H, W) mask of the slice to (h, w): true where at least half of the pixel is."""
        return self._resized(mask[self.window], self.small)

    def reduce_marks(self, marks: Marks) -> Marks:
        """Marks on the view; the thinnest stroke and a single click survive."""
        background = self._touched(marks.background)
        foreground = self._touched(marks.inside)
        allowed = self.reduce_mask(marks.allowed) | foreground
        return Marks(foreground=foreground, background=background & ~foreground, allowed=allowed)

    def restore_mask(self, small: Mask) -> Mask:
        """(h, w) mask of the view to (H, W) of the slice, false outside the window."""
        mask = np.zeros(self.full, dtype=bool)
        window = mask[self.window]
        window[:] = self._resized(small, (window.shape[0], window.shape[1]))
        return mask

    def _touched(self, marks: Mask) -> Mask:
        touched = np.zeros(self.small, dtype=bool)
        window = marks[self.window]
        rows, columns = np.nonzero(window)
        touched[rows * self.small[0] // window.shape[0], columns * self.small[1] // window.shape[1]] = True
        return touched

    @staticmethod
    def _resized(mask: Mask, shape: tuple[int, int]) -> Mask:
        if mask.shape == shape:
            return mask
        return _sampled(mask[..., None].astype(np.float32), shape)[..., 0] >= 0.5


def _sampled(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """(H, W, C) at the pixel centres of a grid of another shape over the same area, linearly; the border repeats."""
    rows, columns = (
        (np.arange(count) + 0.5) * size / count - 0.5 for count, size in zip(shape, pixels.shape[:2], strict=True)
    )
    grid = np.meshgrid(rows, columns, indexing="ij")
    channels = [ndimage.map_coordinates(pixels[..., c], grid, order=1, mode="nearest") for c in range(pixels.shape[2])]
    sampled: Pixels = np.stack(channels, axis=-1)
    return sampled
