"""One object's marks, seen slice by slice along an axis."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from copy import copy

import numpy as np

from imos_engine.prompts import SlicePrompts
from lib.infers.marks import Marks, Mask, Region
from lib.infers.request import Box
from lib.sessions.step import Voxel


class SliceMarks:
    """What an object's marks say on slices across one axis.

    `active` are the slices that the request says something new about; None is all. Marks inside a `box` are prompts
    with it; where there are none, with `starts_from_box`, the box alone prompts its middle slice.
    """

    def __init__(
        self,
        marks: Marks,
        *,
        axis: int,
        box: Box | None = None,
        starts_from_box: bool = False,
        active: Collection[int] | None = None,
    ) -> None:
        self.marks = marks
        self.axis = axis
        self._painted, self._strokes, self._erasing = (
            _slices(region, axis) for region in (marks.painted, marks.strokes, marks.strokes_background)
        )
        self._foreground = _by_slice(marks.clicks.foreground, axis)
        self._background = _by_slice(marks.clicks.background, axis)
        self._box = box
        positive = self._painted | self._strokes | set(self._foreground)
        if not positive and box and starts_from_box:
            positive = frozenset({(box.low[axis] + box.high[axis]) // 2})
        negative = (self._erasing | set(self._background)) - positive
        absent = (marks.absent if marks.absent_axis == axis else frozenset()) - positive
        self.positive, self.negative, self.absent = (
            frozenset(slices if active is None else slices.intersection(active))
            for slices in (positive, negative, absent)
        )

    @property
    def name(self) -> str:
        """Of the object."""
        return self.marks.name

    def without(self, slices: Collection[int]) -> SliceMarks:
        """The same, where some slices say nothing new."""
        fewer = copy(self)
        fewer.positive, fewer.negative, fewer.absent = (
            spoken - set(slices) for spoken in (self.positive, self.negative, self.absent)
        )
        return fewer

    def mode(self, index: int) -> str:
        """How this slice was marked."""
        if index in self.absent:
            return "mask"
        if index in self._strokes or index in self._erasing:
            return "scribble"
        if index in self._foreground or index in self._background:
            return "points"
        return "mask" if index in self._painted else "box"

    def painted(self, index: int) -> Mask | None:
        """The mask (H, W) painted on this slice, when there is one; an empty one where the person erased it."""
        if self.marks.painted is None or index not in self._painted | self.absent:
            return None
        return self.marks.painted.frame(index, self.axis)

    def prompts(self, index: int, rivals: Sequence[SliceMarks], mask: Mask | None = None) -> SlicePrompts:
        """Everything this slice says about the object; where another object is marked, this one is not.

        Shapes: mask (H, W), what the marks correct; without it, what was painted.
        """
        regions = [region for one in rivals for region in one.marks.foreground] + [self.marks.strokes_background]
        taken = [region.frame(index, self.axis) for region in regions if region is not None]
        strokes = self.marks.strokes
        return SlicePrompts(
            foreground=self._foreground.get(index, []),
            background=self._background.get(index, []) + [p for one in rivals for p in one._foreground.get(index, [])],
            scribbles_foreground=None if strokes is None else strokes.frame(index, self.axis),
            scribbles_background=np.logical_or.reduce(taken) if taken else None,
            box=self._rectangle(index),
            mask=self.painted(index) if mask is None else mask,
        )

    def said(self, index: int) -> str:
        """Digest of everything this slice says: equal ones say the same."""
        digest = hashlib.sha256(repr((self._foreground.get(index), self._background.get(index))).encode())
        for region in (self.marks.painted, self.marks.strokes, self.marks.strokes_background):
            if region is not None and (frame := region.frame(index, self.axis)).any():
                digest.update(np.packbits(frame).tobytes())
            digest.update(b"|")
        digest.update(repr(self._rectangle(index)).encode())
        return digest.hexdigest()

    def _rectangle(self, index: int) -> tuple[int, int, int, int] | None:
        """The box on this slice, as rows and columns, both ends included."""
        box = self._box
        if box is None or not box.low[self.axis] <= index <= box.high[self.axis]:
            return None
        row, column = (axis for axis in range(3) if axis != self.axis)
        return box.low[row], box.low[column], box.high[row], box.high[column]


def _slices(region: Region | None, axis: int) -> frozenset[int]:
    return frozenset() if region is None else region.slices(axis)


def _by_slice(voxels: Sequence[Voxel], axis: int) -> dict[int, list[tuple[int, int]]]:
    """Points (row, column) of every slice across an axis, in an order that does not depend on theirs."""
    slices: dict[int, list[tuple[int, int]]] = {}
    row, column = (other for other in range(3) if other != axis)
    for voxel in sorted(set(voxels)):
        slices.setdefault(voxel[axis], []).append((voxel[row], voxel[column]))
    return slices
