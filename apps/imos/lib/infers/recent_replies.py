"""Telling what a person painted from what this server answered before.

An editor such as Slicer puts a reply into the segment that the person works on, and sends the whole segment with the
next request. Slices that still are as they were answered carry no information: only the others are the person's marks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from imos_engine.sequence import frames_along, volume_from_frames
from lib.infers.marks import Marks, Mask, Region

REPLIES_KEPT = 8  # one bit per voxel each: 33 MB for 1,000 slices of 512 x 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Reply:
    """One object of a reply."""

    bits: npt.NDArray[np.uint8]  # packed voxels of the frames (T, H, W)
    shape: tuple[int, ...]  # (T, H, W)
    axis: int
    seeds: frozenset[int]  # slices that were the person's own

    def frames(self) -> Mask:
        """Where the object was answered to be, (T, H, W)."""
        count = int(np.prod(self.shape))
        return np.unpackbits(self.bits, count=count).astype(bool).reshape(self.shape)


class RecentReplies:
    """The last few replies, by image, client and object; safe across threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, Reply] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, key: Hashable, voxels: Mask, *, axis: int, seeds: frozenset[int]) -> None:
        """Keep an object (I, J, K) of a reply in place of an earlier one."""
        frames = frames_along(voxels, axis)
        reply = Reply(bits=np.packbits(frames), shape=frames.shape, axis=axis, seeds=seeds)
        with self._lock:
            self._held[key] = reply
            self._held.move_to_end(key)
            while len(self._held) > REPLIES_KEPT:
                self._held.popitem(last=False)

    def own_marks(self, key: Hashable, marks: Marks, visible: Mask) -> Marks:
        """The marks without what was answered before.

        Shapes: visible (I, J, K), false where another segment covers this object's.
        """
        reply = self._held.get(key)
        if reply is None or marks.painted is None:
            return marks
        painted, shown = frames_along(marks.painted.voxels(), reply.axis), frames_along(visible, reply.axis)
        return _without(marks, reply, painted=painted, shown=shown)


def _without(marks: Marks, reply: Reply, *, painted: Mask, shown: Mask) -> Marks:
    answered = reply.frames() & shown
    unchanged = (painted == answered).all(axis=(1, 2))
    seeded = np.isin(np.arange(len(painted)), sorted(reply.seeds))
    if not (unchanged & answered.any(axis=(1, 2)) & ~seeded).any():
        return marks  # the reply is not in this segment: the person began anew
    marked_otherwise = np.zeros(len(painted), dtype=bool)
    for strokes in (marks.strokes, marks.strokes_background):
        if strokes is not None:
            marked_otherwise[sorted(strokes.slices(reply.axis))] = True
    dropped = unchanged & (~seeded | marked_otherwise)
    kept = volume_from_frames(np.where(dropped[:, None, None], 0, painted).astype(np.uint8), reply.axis)
    erased = ~unchanged & ~painted.any(axis=(1, 2))
    return replace(
        marks,
        painted=Region(label_map=kept, ids=(1,)),
        absent=frozenset(int(index) for index in np.flatnonzero(erased & ~marked_otherwise)),
        absent_axis=reply.axis,
    )
