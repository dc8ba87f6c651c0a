"""From marks to seed slices: strokes, points and boxes become masks, masks stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from imos_engine.prompts import SlicePrompts, SliceSolver, without_overlap
from imos_engine.sequence import Seed, choose_slice_axis
from lib.errors import RequestError
from lib.infers.marks import Labels, Marks, Mask, Region
from lib.infers.request import Box, Voxel

SliceImages = Callable[[int], npt.NDArray[np.float32]]  # slice number -> (H, W) or (H, W, 3), normalised


@dataclass(frozen=True, kw_only=True)
class SeedReport:
    """One entry of `params.imos.seeds`."""

    slice: int
    axis: int
    label: str
    mode: str  # mask, scribble, points or box
    pixels: int


@dataclass(kw_only=True)
class SeedPlan:
    """What is known before anything is carried."""

    axis: int
    seeds: list[Seed] = field(default_factory=list)
    reports: list[SeedReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def seed_axis(
    marks: Sequence[Marks],
    box: Box | None,
    *,
    shape: tuple[int, ...],
    spacing_mm: Sequence[float],
    order: tuple[int, int, int],
) -> int:
    """The axis along which all marks together are planar, else the coarsest; of equals the last in `order`."""
    voxels = marked_voxels(marks, box, shape=shape).transpose(order)
    return order[choose_slice_axis(voxels, [spacing_mm[axis] for axis in order])]


def marks_along(marks: Sequence[Marks], box: Box | None, *, axis: int) -> list[SliceMarks]:
    """Marks as seen along an axis; a box prompts the only object there is, and merely limits several."""
    return [SliceMarks(entry, axis=axis, box=box if len(marks) == 1 else None) for entry in marks]


def marked_voxels(marks: Sequence[Marks], box: Box | None, *, shape: tuple[int, ...]) -> Mask:
    """Every voxel (I, J, K) that a person said is an object; without any, the voxels of the box."""
    voxels = np.zeros(shape[:3], dtype=bool)
    for entry in marks:
        for region in entry.foreground:
            voxels |= region.voxels()
        for voxel in entry.clicks.foreground:
            voxels[voxel] = True
    if box and not voxels.any():
        voxels[tuple(slice(low, high + 1) for low, high in zip(box.low, box.high, strict=True))] = True
    return voxels


def plan_seeds(
    marks: Sequence[SliceMarks], *, axis: int, images: SliceImages, size: tuple[int, int], solve: SliceSolver
) -> SeedPlan:
    """Make the seed of every slice that says where an object is. Shapes: `size` (H, W) of a slice across `axis`."""
    plan = SeedPlan(axis=axis)
    for index in sorted({index for one in marks for index in one.positive | one.absent}):
        spoken = [one for one in marks if index in one.positive | one.absent]
        _add_seed(plan, index, spoken, images=images, size=size, solve=solve)
    return plan


def corrections(marks: Sequence[SliceMarks], plan: SeedPlan) -> dict[int, list[SliceMarks]]:
    """Slices that only say where an object is not: they correct what is carried to them."""
    seeded = {seed.index for seed in plan.seeds}
    found: dict[int, list[SliceMarks]] = {}
    for one in marks:
        for index in one.negative - seeded:
            found.setdefault(index, []).append(one)
    return found


def correct(
    plan: SeedPlan,
    index: int,
    carried: Labels,
    marks: Sequence[SliceMarks],
    *,
    images: SliceImages,
    solve: SliceSolver,
) -> None:
    """Add a seed for a slice where carried masks (H, W) meet background marks."""
    size = carried.shape[0], carried.shape[1]
    _add_seed(plan, index, marks, images=images, size=size, solve=solve, carried=carried)


class SliceMarks:
    """One object's marks, seen along an axis."""

    def __init__(self, marks: Marks, *, axis: int, box: Box | None) -> None:
        self.marks = marks
        self.axis = axis
        self._painted, self._strokes, self._erasing = (
            _slices(region, axis) for region in (marks.painted, marks.strokes, marks.strokes_background)
        )
        self._foreground = _by_slice(marks.clicks.foreground, axis)
        self._background = _by_slice(marks.clicks.background, axis)
        self._box = box
        self.positive = self._painted | self._strokes | set(self._foreground)
        if not self.positive and self._box:
            self.positive = frozenset({(self._box.low[axis] + self._box.high[axis]) // 2})
        self.negative = (self._erasing | set(self._background)) - self.positive
        self.absent = (marks.absent if marks.absent_axis == axis else frozenset()) - self.positive

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
        """Everything this slice says about the object; where another object is marked, this one is not."""
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

    def _rectangle(self, index: int) -> tuple[int, int, int, int] | None:
        """The box on this slice, as rows and columns, both ends included."""
        box = self._box
        if box is None or not box.low[self.axis] <= index <= box.high[self.axis]:
            return None
        row, column = (axis for axis in range(3) if axis != self.axis)
        return box.low[row], box.low[column], box.high[row], box.high[column]


def _add_seed(
    plan: SeedPlan,
    index: int,
    objects: Sequence[SliceMarks],
    *,
    images: SliceImages,
    size: tuple[int, int],
    solve: SliceSolver,
    carried: Labels | None = None,
) -> None:
    """Put the masks of all objects on one slice into one seed; where two meet, painted ones win, else the likelier."""
    labels = np.zeros(size, dtype=np.uint16)
    spoken = set()
    painted = [(one, mask) for one in objects if one.mode(index) == "mask" and (mask := one.painted(index)) is not None]
    marked = [one for one in objects if all(one is not other for other, _ in painted)]
    probabilities = [
        _from_prompts(
            one,
            index,
            [other for other in objects if other is not one],
            image=images(index),
            solve=solve,
            carried=carried,
        )
        for one in marked
    ]
    number = without_overlap(probabilities) if marked else labels
    for one, mask in [*((one, number == place) for place, one in enumerate(marked, start=1)), *painted]:
        mode = one.mode(index)
        if not mask.any() and carried is None and index not in one.absent:
            plan.warnings.append(
                f"the marks of {one.marks.name!r} on slice {index} gave an empty mask, and were left out"
            )
            continue
        labels[mask] = one.marks.object_id
        spoken.add(one.marks.object_id)
        report = SeedReport(slice=index, axis=plan.axis, label=one.marks.name, mode=mode, pixels=int(mask.sum()))
        plan.reports.append(report)
    if spoken:
        plan.seeds.append(Seed(index=index, labels=labels, objects=frozenset(spoken)))


def _from_prompts(
    one: SliceMarks,
    index: int,
    rivals: Sequence[SliceMarks],
    *,
    image: npt.NDArray[np.float32],
    solve: SliceSolver,
    carried: Labels | None,
) -> npt.NDArray[np.float32]:
    """The probability (H, W) that strokes, points and box mean; `carried` is what they correct."""
    previous = None if carried is None else carried == one.marks.object_id
    if previous is not None and not previous.any():
        return previous.astype(np.float32)  # told where it is not, and it is not there
    try:
        return solve(image, one.prompts(index, rivals, previous))
    except ValueError as error:
        raise RequestError(f"the marks of {one.marks.name!r} on slice {index} cannot be used: {error}") from error


def _slices(region: Region | None, axis: int) -> frozenset[int]:
    return frozenset() if region is None else region.slices(axis)


def _by_slice(voxels: Sequence[Voxel], axis: int) -> dict[int, list[tuple[int, int]]]:
    """Points (row, column) of every slice across an axis."""
    slices: dict[int, list[tuple[int, int]]] = {}
    row, column = (other for other in range(3) if other != axis)
    for voxel in voxels:
        slices.setdefault(voxel[axis], []).append((voxel[row], voxel[column]))
    return slices
