"""The part of the frame on which the network looks: around the objects, so that small ones fill it too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from imos_engine.propagation.resizing import Box, FrameGrid

SMALLEST_SIDE = 24  # frame pixels; a smaller window holds too little to recognise anything
NEARLY_WHOLE = 0.8  # of the frame's longer side: a window larger than this is the whole frame
LADDER = 1.25  # ratio of neighbouring window sides, so that a window seldom changes
TOLERANCE = 1.6  # a window this many times too large or too small is replaced
GROWTH = LADDER**2  # of a window from one frame to the next, at most
MARGIN = 0.08  # of the window's side: objects closer to its border move it
STEPS = 12  # positions per side at which windows may lie


def extent_of(mask: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box around a mask's pixels, (H, W); None if it has none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Box(top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)


def extent_on(grid: FrameGrid, masks: Tensor) -> Box | None:
    """The box, in frame pixels, around everything above one half in masks (K, h, w) on a grid; None if nothing is."""
    inner = grid.restore((masks > 0.5).float().amax(0, keepdim=True))[0] > 0.25
    found = extent_of(inner.cpu().numpy())
    return (
        None if found is None else Box(found.top + grid.box.top, found.left + grid.box.left, found.height, found.width)
    )


@dataclass(frozen=True)
class Windows:
    """Chooses windows. A window's side is `factor` times the objects' extent; `factor` None is the whole frame."""

    frame_size: tuple[int, int]
    size: int | None  # side of the square with the network's grid's area, in pixels; None keeps the frame's pixels
    factor: float | None

    @property
    def whole(self) -> FrameGrid:
        """The whole frame."""
        return FrameGrid.fit(Box.whole(self.frame_size), self.size)

    def around(self, extent: Box | None) -> FrameGrid:
        """A fresh window around objects; the whole frame where there are none."""
        if extent is None or self.factor is None:
            return self.whole
        return FrameGrid.fit(self._box(extent, self.side(extent)), self.size)

    def like(self, grid: FrameGrid, extent: Box | None) -> FrameGrid:
        """A window around objects, at least as wide as another one, whose pixels are as large as that one's."""
        own = self.around(extent)
        if extent is None or self.factor is None or self.size is None:
            return own
        box = self._box(extent, max(self.side(extent), grid.box.height, grid.box.width))
        ratio = (box.height * box.width / (grid.box.height * grid.box.width)) ** 0.5
        return FrameGrid.fit(box, round(self.size * ratio))

    def side(self, extent: Box) -> int:
        """Side of the window that an extent asks for, in frame pixels, on a ladder of sizes."""
        wanted = max((self.factor or 1.0) * max(extent.height, extent.width), SMALLEST_SIDE)
        return round(SMALLEST_SIDE * LADDER ** math.ceil(math.log(wanted / SMALLEST_SIDE, LADDER) - 1e-6))

    def following(self, grid: FrameGrid, extent: Box | None) -> FrameGrid:
        """The window for the next frame: the same while the objects, expected at `extent`, fit well."""
        if extent is None or self.factor is None or self._fits(grid.box, extent):
            return grid
        most = round(max(grid.box.height, grid.box.width) * GROWTH)  # a few stray pixels must not open it at once
        return FrameGrid.fit(self._box(extent, min(self.side(extent), most)), self.size)

    def _box(self, extent: Box, side: int) -> Box:
        if side >= NEARLY_WHOLE * max(self.frame_size):
            return Box.whole(self.frame_size)
        (top, height), (left, width) = (
            _placed(centre, side, length) for centre, length in zip(_centre(extent), self.frame_size, strict=True)
        )
        return Box(top, left, height, width)

    def _fits(self, box: Box, extent: Box) -> bool:
        side, wanted = max(box.height, box.width), self.side(extent)
        whole = box == Box.whole(self.frame_size)
        if wanted < side / TOLERANCE or (wanted > side * TOLERANCE and not whole):
            return False
        margin = MARGIN * side
        height, width = self.frame_size
        return (
            (extent.top - box.top >= margin or box.top == 0)
            and (extent.left - box.left >= margin or box.left == 0)
            and (box.bottom - extent.bottom >= margin or box.bottom == height)
            and (box.right - extent.right >= margin or box.right == width)
        )


def _centre(extent: Box) -> tuple[float, float]:
    return extent.top + extent.height / 2, extent.left + extent.width / 2


def _placed(centre: float, side: int, length: int) -> tuple[int, int]:
    """Start and length of a window along one axis of the frame."""
    side = min(side, length)
    step = max(1, side // STEPS)
    start = round((centre - side / 2) / step) * step
    return min(max(start, 0), length - side), side
