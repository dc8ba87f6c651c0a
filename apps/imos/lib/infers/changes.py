"""What a request says that was not said before, object by object and slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imos_engine.propagation.crossing import annotated_planes
from imos_engine.sequence import choose_slice_axis, coarsest_axis, slices_touched
from lib.infers.marks import Marks, Mask, Region
from lib.infers.request import Box
from lib.infers.slice_marks import SliceMarks
from lib.sessions.step import Clicks, ObjectState, Voxel

Slices = dict[int, set[int]]  # by axis


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What choosing an axis needs to know of a volume."""

    shape: tuple[int, ...]
    spacing_mm: Sequence[float]
    order: tuple[int, int, int]  # array axes in the order of the patient's
    forced_axis: int | None  # the one asked for
    session_axis: int | None  # the one of earlier marks, if there were any


@dataclass(frozen=True, kw_only=True, eq=False)
class Changes:
    """The part of a request that is new."""

    axis: int  # along which the new marks are planar
    marks: Sequence[SliceMarks]  # per object and axis
    unsaid: Mapping[
        str, frozenset[tuple[int, int]]
    ]  # by object, axis and slice of seeds that nothing asks for any more
    clicks: Mapping[str, Clicks]  # every point that counts now, by object
    afresh: Mapping[str, frozenset[tuple[int, int]]]  # places that lost a point: what was there before does not count


def find_changes(marks: Sequence[Marks], known: Mapping[str, ObjectState], box: Box | None, grid: Grid) -> Changes:
    """Compare marks with what is known of their objects; everything is new of an object that is not known."""
    merged = {entry.name: _Merged(entry.clicks, _clicks_of(known.get(entry.name))) for entry in marks}
    fresh = [replace(entry, clicks=merged[entry.name].fresh) for entry in marks]
    axis = _axis(fresh, box, grid)
    alone = len(marks) == 1
    found: list[SliceMarks] = []
    unsaid: dict[str, frozenset[tuple[int, int]]] = {}
    afresh: dict[str, frozenset[tuple[int, int]]] = {}
    for entry in fresh:
        state = known.get(entry.name)
        whole = replace(entry, clicks=merged[entry.name].every)
        active = _places(entry, axis, grid)
        starts_from_box = alone and state is None and box is not None and not _has_marks(whole)
        if box is not None and starts_from_box:
            active.setdefault(axis, set()).add((box.low[axis] + box.high[axis]) // 2)
        positive, rest = _taken_back(whole, state, merged[entry.name].taken_back)
        unsaid[entry.name], afresh[entry.name] = rest, positive
        for one, index in positive | rest:
            active.setdefault(one, set()).add(index)
        for one, slices in active.items():
            spoken = SliceMarks(
                whole, axis=one, box=box if alone else None, starts_from_box=starts_from_box, active=slices
            )
            found.append(_without_known(spoken, state))
    clicks = {name: one.every for name, one in merged.items()}
    return Changes(axis=axis, marks=found, unsaid=unsaid, clicks=clicks, afresh=afresh)


class _Merged:
    """Points that were sent and points known before: what counts now, what is new, what was taken back.

    A list that repeats any earlier point is complete: points missing from it were deleted. Any other list adds.
    """

    def __init__(self, sent: Clicks, known: Clicks) -> None:
        earlier = {*known.foreground, *known.background}
        complete = bool(earlier & {*sent.foreground, *sent.background})
        before = Clicks() if complete else known
        self.every = Clicks(
            foreground=_joined(before.foreground, sent.foreground, but=sent.background),
            background=_joined(before.background, sent.background, but=sent.foreground),
        )
        self.fresh = Clicks(
            foreground=tuple(one for one in self.every.foreground if one not in known.foreground),
            background=tuple(one for one in self.every.background if one not in known.background),
        )
        self.taken_back = tuple(earlier - {*self.every.foreground, *self.every.background})


def _joined(before: Sequence[Voxel], sent: Sequence[Voxel], *, but: Sequence[Voxel]) -> tuple[Voxel, ...]:
    """Both, each point once, without those that now mean the opposite."""
    return tuple(one for one in dict.fromkeys((*before, *sent)) if one not in but)


def _clicks_of(state: ObjectState | None) -> Clicks:
    return Clicks() if state is None else state.clicks


def _has_marks(entry: Marks) -> bool:
    return bool(entry.foreground or entry.clicks.foreground)


def _taken_back(
    whole: Marks, state: ObjectState | None, points: Sequence[Voxel]
) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, int]]]:
    """Places of seeds that lost a point: those where something still says where the object is, and the rest."""
    places = {
        seed.place
        for seed in (state.seeds if state is not None else ())
        if seed.mode == "points" and any(point[seed.axis] == seed.index for point in points)
    }
    positive = {(axis, index) for axis, index in places if SliceMarks(whole, axis=axis, active={index}).positive}
    return frozenset(positive), frozenset(places - positive)


def _without_known(spoken: SliceMarks, state: ObjectState | None) -> SliceMarks:
    """Without the slices that say what their seeds were made of, or show their seeds' masks."""
    if state is None:
        return spoken
    known = []
    for index, seed in state.seeds_along(spoken.axis).items():
        if index not in spoken.positive | spoken.negative | spoken.absent:
            continue
        painted = spoken.painted(index) if spoken.mode(index) == "mask" else None
        if seed.said == spoken.said(index) or (painted is not None and np.array_equal(painted, seed.mask.unpack())):
            known.append(index)
    return spoken.without(known)


def _axis(marks: Sequence[Marks], box: Box | None, grid: Grid) -> int:
    """The axis along which new marks are planar, else that of earlier ones, else the coarsest; a forced one before."""
    if grid.forced_axis is not None:
        return grid.forced_axis
    edited = [entry.absent_axis for entry in marks if entry.absent_axis is not None and entry.edited]
    if edited:
        return edited[0]
    voxels = marked_voxels(marks, box, shape=grid.shape)
    touched = [len(slices_touched(voxels, axis)) for axis in range(3)]
    spacing_mm = [grid.spacing_mm[axis] for axis in grid.order]
    in_line = touched.count(min(touched)) > 1 and not _has_regions(marks)
    if grid.session_axis is not None and (in_line or touched[grid.session_axis] == min(touched)):
        return grid.session_axis
    if in_line:  # points above each other on two slices lie in more than one plane, and were placed on two slices
        return grid.order[coarsest_axis(spacing_mm)]
    return grid.order[choose_slice_axis(voxels.transpose(grid.order), spacing_mm)]


def _has_regions(marks: Sequence[Marks]) -> bool:
    return any(_regions(entry, kind) for entry in marks for kind in ("foreground", "background"))


def marked_voxels(marks: Sequence[Marks], box: Box | None, *, shape: tuple[int, ...]) -> Mask:
    """Every voxel (I, J, K) that a person said is an object; without any, of what is not, or of the box."""
    for kind in ("foreground", "background"):
        voxels = np.zeros(shape[:3], dtype=bool)
        for entry in marks:
            for region in _regions(entry, kind):
                voxels |= region.voxels()
            for voxel in getattr(entry.clicks, kind):
                voxels[voxel] = True
        if voxels.any():
            return voxels
    if box:
        voxels[tuple(slice(low, high + 1) for low, high in zip(box.low, box.high, strict=True))] = True
    return voxels


def _regions(entry: Marks, kind: str) -> list[Region]:
    if kind == "foreground":
        return entry.foreground
    return [] if entry.strokes_background is None else [entry.strokes_background]


def _places(entry: Marks, axis: int, grid: Grid) -> Slices:
    """The slices, by axis, on which an object's marks were made."""
    regions = [*entry.foreground, *_regions(entry, "background")]
    along = axis if entry.absent_axis is None else entry.absent_axis
    places: Slices = {axis: set()}
    if regions:
        voxels = np.logical_or.reduce([region.voxels() for region in regions])
        several = grid.forced_axis is None and entry.absent_axis is None
        planes = annotated_planes(voxels, axis) if several else {along: slices_touched(voxels, along)}
        places |= {one: set(slices) for one, slices in planes.items()}
    for voxel in (*entry.clicks.foreground, *entry.clicks.background):
        crossed = [one for one, slices in places.items() if voxel[one] in slices]
        home = axis if axis in crossed or not crossed else crossed[0]
        places.setdefault(home, set()).add(voxel[home])
    if entry.absent:
        places.setdefault(along, set()).update(entry.absent)
    return places
