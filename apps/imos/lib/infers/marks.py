"""What a person marked, per object, on the grid of the volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imos_engine.sequence import slices_touched
from lib.errors import RequestError, listed
from lib.infers.options import SeedMode
from lib.infers.request import STROKE_NAMES, UNNAMED, Box, InferRequest
from lib.sessions.step import Clicks, Voxel

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """Voxels of some ids of a label map, found when asked for: one map serves any number of objects."""

    label_map: Labels  # (I, J, K)
    ids: tuple[int, ...]

    def voxels(self) -> Mask:
        """Where the ids are, (I, J, K)."""
        return _either(self.label_map, self.ids)

    def frame(self, index: int, axis: int) -> Mask:
        """Where the ids are on one slice, (H, W)."""
        return _either(np.take(self.label_map, index, axis), self.ids)

    def slices(self, axis: int) -> frozenset[int]:
        """Slices that hold any of the ids."""
        return frozenset(slices_touched(self.voxels(), axis))


@dataclass(frozen=True, kw_only=True, eq=False)
class Marks:
    """Everything marked for one object."""

    name: str
    object_id: int  # the value that the reply gives to this object
    painted: Region | None = None  # slices of this are masks, as they are
    strokes: Region | None = None  # some of its voxels
    strokes_background: Region | None = None  # some voxels of everything else
    clicks: Clicks = field(default_factory=Clicks)
    absent: frozenset[int] = frozenset()  # slices across `absent_axis` from which the person erased the object
    absent_axis: int | None = None

    @property
    def foreground(self) -> list[Region]:
        """The regions that say where the object is."""
        return [region for region in (self.painted, self.strokes) if region is not None]

    @property
    def is_spoken_of(self) -> bool:
        """Whether anything at all is said of the object."""
        clicks = self.clicks
        return bool(clicks.foreground or clicks.background or self.foreground or self.strokes_background or self.absent)

    @property
    def edited(self) -> bool:
        """Whether painted slices differ from those that were answered."""
        return self.absent_axis is not None and (
            bool(self.absent) or bool(self.painted and self.painted.voxels().any())
        )


def collect_marks(
    request: InferRequest,
    label_map: Labels | None,
    *,
    shape: tuple[int, ...],
    known_ids: Mapping[str, int],
    session_ids: Mapping[str, int] | None = None,
) -> list[Marks]:
    """Sort a request's clicks and label file by object.

    Shapes: label_map (I, J, K) on the grid of an image of `shape`. `known_ids` are ids of names that the model offers,
    `session_ids` those with which the client's earlier marks were answered.
    Returns: one entry per object of the reply; an object is left out if nothing is marked for it now, nor was before.

    Raises:
        RequestError: for marks outside the volume, a name that nothing is marked for, or no mark at all.
    """
    _refuse_outside(request, shape)
    painted_ids, strokes = _segments_of(request, label_map)
    session_ids = session_ids or {}
    file_ids = _asked_ids(request, painted_ids, session_ids)
    _refuse_ambiguous(request, file_ids, strokes)
    reply_ids = _reply_ids(request, file_ids, {**known_ids, **session_ids})
    marks = []
    for name, file_id in file_ids.items():
        entry = Marks(
            name=name,
            object_id=reply_ids[name],
            painted=None if label_map is None or file_id is None else Region(label_map=label_map, ids=(file_id,)),
            clicks=_clicks_of(name, request, alone=len(file_ids) == 1),
            strokes=strokes.get(STROKE_NAMES[0]),
            strokes_background=strokes.get(STROKE_NAMES[1]),
        )
        marks.append(_in_mode(entry, request.options.seed_mode))
    marks = [entry for entry in marks if entry.foreground or entry.clicks.foreground or entry.name in session_ids]
    if not marks and not request.box:
        raise RequestError(_nothing_marked(request, label_map))
    return marks or [Marks(name=name, object_id=reply_ids[name]) for name in list(file_ids)[:1]]


def _segments_of(request: InferRequest, label_map: Labels | None) -> tuple[list[int], dict[str, Region]]:
    """Ids of the painted segments of a label file, and the strokes in it by STROKE_NAMES."""
    if label_map is None:
        return [], {}
    strokes: dict[str, Region] = {}
    painted = []
    for value in (int(value) for value in np.unique(label_map) if value != 0):
        name = request.segments.get(value, "")
        if name in STROKE_NAMES:
            strokes[name] = Region(label_map=label_map, ids=(value,))
        else:
            painted.append(value)
    return painted, strokes


def _asked_ids(request: InferRequest, painted: list[int], session: Iterable[str]) -> dict[str, int | None]:
    """The objects to answer for, and the id of each in the label file (None: not painted there)."""
    by_name = {request.segments[value]: value for value in painted if value in request.segments}
    if request.objects:
        unnamed = {name: number for name, number in request.objects.items() if number in painted and not by_name}
        return {name: by_name.get(name, unnamed.get(name)) for name in request.objects}
    if request.current is not None:
        return {request.current: by_name.get(request.current, _only(painted, request))}
    named = {request.segments.get(value, f"label_{value}"): value for value in painted}
    known = {**dict.fromkeys(session), **named}
    clicked = dict.fromkeys(name for name in request.clicks if name != UNNAMED or not known)
    return {**dict.fromkeys(session), **clicked, **named} or {UNNAMED: None}


def _refuse_ambiguous(request: InferRequest, names: Mapping[str, int | None], strokes: Mapping[str, Region]) -> None:
    nameless = UNNAMED in request.clicks and UNNAMED not in names
    if len(names) > 1 and (strokes or nameless):
        raise RequestError(
            f"{'strokes' if strokes else 'points without a name'} came for {len(names)} objects ({listed(names)}), and "
            "belong to one; send its name as selected_label_name, or ask for one object"
        )


def _clicks_of(name: str, request: InferRequest, *, alone: bool) -> Clicks:
    """Clicks of one object; those without a name belong to the only object there is."""
    nameless = request.clicks.get(UNNAMED, Clicks()) if alone else Clicks()
    return request.clicks.get(name, nameless)


def _only(painted: list[int], request: InferRequest) -> int | None:
    """The one id of a label file without names, whose label the request names."""
    if request.segments or not painted:
        return None
    if len(painted) > 1:
        raise RequestError(
            f"the label file holds ids {listed(painted)} and the request names {request.current!r} alone; send "
            "label_info with the name of every id, or objects with the names and ids to segment"
        )
    return painted[0]


def _reply_ids(
    request: InferRequest, file_ids: Mapping[str, int | None], known_ids: Mapping[str, int]
) -> dict[str, int]:
    """Every object's value in the reply: the one asked for, the label file's, the model's, or else a free one."""
    by_segment = {name: number for number, name in request.segments.items()}
    ids: dict[str, int] = {}
    for name, file_id in file_ids.items():
        wanted = request.objects.get(name) or file_id or by_segment.get(name) or known_ids.get(name)
        taken = set(ids.values())
        ids[name] = wanted if wanted and wanted not in taken else next(n for n in range(1, 65536) if n not in taken)
    return ids


def _in_mode(marks: Marks, mode: SeedMode) -> Marks:
    """The same marks, where the request says how painted voxels are meant."""
    if mode is SeedMode.AUTO or not marks.foreground:
        return marks
    label_map = marks.foreground[0].label_map
    together = Region(label_map=label_map, ids=tuple(value for region in marks.foreground for value in region.ids))
    if mode is SeedMode.SCRIBBLE:
        return replace(marks, painted=None, strokes=together)
    return replace(marks, painted=together, strokes=None, strokes_background=None)


def _refuse_outside(request: InferRequest, shape: tuple[int, ...]) -> None:
    for clicks in request.clicks.values():
        for voxel in (*clicks.foreground, *clicks.background):
            if not _inside(voxel, shape):
                raise RequestError(_outside(f"the point {list(voxel)}", shape))
    box = request.box
    if box and not all(low < size and high >= 0 for low, high, size in zip(box.low, box.high, shape, strict=False)):
        raise RequestError(_outside(f"the region from {list(box.low)} to {list(box.high)}", shape))


def _outside(what: str, shape: tuple[int, ...]) -> str:
    last = listed(f"{size - 1}" for size in shape[:3])
    return (
        f"{what} lies outside the volume, whose voxels are 0 to ({last}); send voxel indices (i, j, k) of the stored "
        "array, counted from 0"
    )


def _inside(voxel: Voxel, shape: tuple[int, ...]) -> bool:
    return all(0 <= index < size for index, size in zip(voxel, shape, strict=False))


def _nothing_marked(request: InferRequest, label_map: Labels | None) -> str:
    wanted = "mark the object on at least one slice: foreground points, a painted slice in a label file, or a roi"
    if any(clicks.background for clicks in request.clicks.values()):
        return f"there are background points but nothing of the object itself; {wanted}"
    if label_map is None:
        return f"there is no seed: neither points, nor a label file, nor a roi came; {wanted}"
    if not label_map.any():
        return f"there is no seed: the label file is empty; {wanted}"
    names = listed(repr(name) for name in request.objects or [request.current or UNNAMED])
    present = listed(request.segments.get(int(value), int(value)) for value in np.unique(label_map) if value != 0)
    return f"there is no seed for {names}: the label file holds {present}; {wanted}"


def _either(labels: Labels, ids: tuple[int, ...]) -> Mask:
    """`np.isin` for few ids, which it would sort for."""
    found = labels == ids[0]
    for value in ids[1:]:
        found |= labels == value
    return np.asarray(found)


def clip_box(box: Box, shape: tuple[int, ...]) -> Box:
    """The part of a box that lies in the volume."""
    low = tuple(max(0, index) for index in box.low)
    high = tuple(min(size - 1, index) for index, size in zip(box.high, shape, strict=False))
    return Box(low=(low[0], low[1], low[2]), high=(high[0], high[1], high[2]))
