"""Telling what a person painted from what this server answered before.

An editor such as Slicer puts a reply into the segment that the person works on, and sends the whole segment with the
next request. Slices that still are as they were answered carry no information: only the others are the person's marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from imos_engine.sequence import frames_along
from lib.infers.marks import Labels, Marks, Mask, Region
from lib.infers.request import InferRequest
from lib.sessions.step import ObjectState


def without_answers(
    marks: Sequence[Marks], request: InferRequest, label_map: Labels | None, known: dict[str, ObjectState]
) -> list[Marks]:
    """The marks without this server's earlier answers, where the client sends a scene that may hold them.

    An object that the person began anew is removed from what is `known`.
    """
    if label_map is None or not request.segments:
        return list(marks)
    own = []
    for entry in marks:
        state = known.get(entry.name)
        if state is not None and entry.painted is not None:
            visible = (label_map == 0) | entry.painted.voxels()
            found = own_marks(entry, state, visible, request.options.slice_axis)
            if found is None:
                del known[entry.name]
            entry = found or entry
        own.append(entry)
    return own


def own_marks(marks: Marks, state: ObjectState, visible: Mask, axis: int | None) -> Marks | None:
    """The marks without what was answered; None if the answer is not in the segment, and the person began anew.

    A client that never puts answers into the segment is told by earlier marks that are in it: all of these are marks.

    Shapes: visible (I, J, K), false where another segment covers this object's. `axis` is the one to look along; None
    finds that along which the changes are planar.
    """
    if marks.painted is None:
        return marks
    painted, answered = marks.painted.voxels(), state.answer.unpack() & visible
    changed = painted != answered
    axis = _axis_of(changed, state) if axis is None else axis
    differs, held, holds = (_touched(mask, axis) for mask in (changed, answered, painted))
    seeded = np.zeros_like(differs)
    seeded[list(state.seeds_along(axis))] = True
    if not (~differs & held & ~seeded).any() and (differs & held & ~seeded).any():
        return marks if (~differs & holds & seeded).any() or _strokes_again(marks, state) else None
    marked_otherwise = np.zeros_like(differs)
    for strokes in (marks.strokes, marks.strokes_background):
        if strokes is not None:
            marked_otherwise[sorted(strokes.slices(axis))] = True
    kept = np.where(_spread(differs, axis), painted, False).astype(np.uint8)
    erased = differs & ~holds & ~marked_otherwise
    return replace(
        marks,
        painted=Region(label_map=kept, ids=(1,)),
        absent=frozenset(int(index) for index in np.flatnonzero(erased)),
        absent_axis=axis,
    )


def _strokes_again(marks: Marks, state: ObjectState) -> bool:
    """Whether strokes are on a slice where strokes had been."""
    strokes = marks.strokes
    return strokes is not None and any(
        seed.mode == "scribble" and seed.index in strokes.slices(seed.axis) for seed in state.seeds
    )


def _axis_of(changed: Mask, state: ObjectState) -> int:
    """Across which the changes touch the fewest slices; of equals one that the object has seeds across."""
    known = {seed.axis for seed in state.seeds}
    counts = [int(_touched(changed, axis).sum()) for axis in range(3)]
    return min(range(3), key=lambda axis: (counts[axis], axis not in known, -axis))


def _touched(mask: Mask, axis: int) -> Mask:
    """Which slices across an axis hold anything."""
    return np.asarray(frames_along(mask, axis).any(axis=(1, 2)))


def _spread(slices: Mask, axis: int) -> Mask:
    """Slices across an axis in a shape that broadcasts over the volume."""
    shape = [1, 1, 1]
    shape[axis] = len(slices)
    return slices.reshape(shape)
