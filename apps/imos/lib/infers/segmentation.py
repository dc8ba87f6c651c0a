"""One request, carried through its volume: the flow from marks to a label map."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from imos_engine.intensity import Intensity, automatic_intensity, window_intensity
from imos_engine.prompts import SliceSolver
from imos_engine.propagation import Propagator
from imos_engine.sequence import Seed, frames_along, volume_from_frames
from imos_engine.volume_file import Volume
from lib.errors import RequestError
from lib.infers.carrier import refuse_if_gone
from lib.infers.marks import Labels, Marks, Mask, clip_box, collect_marks
from lib.infers.recent_replies import RecentReplies
from lib.infers.request import Box, InferRequest
from lib.infers.seeds import (
    SeedPlan,
    SliceMarks,
    correct,
    corrections,
    marked_voxels,
    marks_along,
    plan_seeds,
    seed_axis,
)
from lib.transforms.orientation import FrameOrientation, patient_order
from lib.transforms.volumes import image_stamp, image_warnings


@dataclass(kw_only=True)
class Segmentation:
    """A label map and how it came about."""

    labels: Labels  # (I, J, K) on the stored grid
    axis: int
    marks: Sequence[Marks]
    plan: SeedPlan
    confidence: dict[str, dict[int, float]]  # label -> slice that was computed -> 0 to 1
    presence: dict[str, dict[int, float]]  # the same slices: how likely the object is there at all, 0 to 1
    seconds: dict[str, float | int]  # per stage, and counts of frames
    warnings: list[str]

    @property
    def label_names(self) -> dict[str, int]:
        """Ids by name, in ascending order, without background."""
        return {marks.name: marks.object_id for marks in sorted(self.marks, key=lambda marks: marks.object_id)}


def segment(
    request: InferRequest,
    image: Volume,
    label_map: Labels | None,
    *,
    propagator: Propagator,
    solve: SliceSolver,
    known_ids: Mapping[str, int],
    replies: RecentReplies,
    client_gone: threading.Event,
) -> Segmentation:
    """Turn what a person marked into a label map of the whole volume.

    Raises:
        RequestError: for marks or options that do not fit this volume, or a client that left.
    """
    started = perf_counter()
    shape = image.array.shape
    box = clip_box(request.box, shape) if request.box else None
    marks = collect_marks(request, label_map, shape=shape, known_ids=known_ids)
    marks = [_own_marks(entry, request, label_map, replies) for entry in marks]
    axis = request.options.slice_axis
    if axis is None:
        order = patient_order(image.affine)
        axis = seed_axis(marks, box, shape=shape, spacing_mm=image.spacing_mm, order=order)
    orientation = FrameOrientation.along(axis, image.affine)
    solve = orientation.solver(solve)
    frames = frames_along(image.array, axis)
    intensity = _intensity(request, frames, frames_along(marked_voxels(marks, box, shape=shape), axis))
    carry = _Carry(
        request, frames, intensity, axis, box, orientation=orientation, propagator=propagator, client_gone=client_gone
    )
    slice_marks = marks_along(marks, box, axis=axis)
    plan = plan_seeds(slice_marks, axis=axis, images=carry.image, size=carry.size, solve=solve)
    prompted = perf_counter()
    carry.run(plan, marks)
    if _correct(carry, plan, slice_marks, solve):
        carry.run(plan, marks)
    labels = np.ascontiguousarray(volume_from_frames(carry.labels, axis))
    for entry in marks if request.current is not None else ():
        own = frozenset(seed.index for seed in plan.seeds if entry.object_id in seed.objects)
        replies.remember(_reply_key(request, entry), labels == entry.object_id, axis=axis, seeds=own)
    return Segmentation(
        labels=labels,
        axis=axis,
        marks=marks,
        plan=plan,
        confidence=carry.confidence,
        presence=carry.presence,
        seconds=propagator.timings.to_dict() | {"prompts": round(prompted - started, 4)},
        warnings=_warnings(request, image, marks, plan),
    )


def _intensity(request: InferRequest, frames: npt.NDArray[Any], marked: Mask) -> Intensity:
    """The window that was asked for, else the one that suits what was marked. Shapes: marked (T, H, W)."""
    window = request.options.window
    return window_intensity(frames, window) if window else automatic_intensity(frames, marked)


def _warnings(request: InferRequest, image: Volume, marks: Sequence[Marks], plan: SeedPlan) -> list[str]:
    marked = {entry.name for entry in marks}
    missing = [f"nothing is marked for {name!r}; it was left out" for name in request.objects if name not in marked]
    return [*request.warnings, *image_warnings(image), *plan.warnings, *missing]


def _own_marks(marks: Marks, request: InferRequest, label_map: Labels | None, replies: RecentReplies) -> Marks:
    """The marks without this server's earlier reply, when the client sends a scene that may hold it."""
    if label_map is None or not request.segments or marks.painted is None:
        return marks
    return replies.own_marks(_reply_key(request, marks), marks, (label_map == 0) | marks.painted.voxels())


def _reply_key(request: InferRequest, marks: Marks) -> Hashable:
    return image_stamp(request.image), request.client, marks.name


def _correct(carry: _Carry, plan: SeedPlan, marks: Sequence[SliceMarks], solve: SliceSolver) -> bool:
    """Where slices only say what is not the object, make seeds of the masks carried there; whether there were any."""
    wrong = {index: found for index, found in corrections(marks, plan).items() if carry.covers(index)}
    if not carry.propagates:
        return False
    for index, found in wrong.items():
        correct(plan, index, carry.labels[index], found, images=carry.image, solve=solve)
    return bool(wrong)


class _Carry:
    """The sequence of one request, and what was carried through it so far."""

    def __init__(
        self,
        request: InferRequest,
        frames: npt.NDArray[Any],
        intensity: Intensity,
        axis: int,
        box: Box | None,
        *,
        orientation: FrameOrientation,
        propagator: Propagator,
        client_gone: threading.Event,
    ) -> None:
        self._frames, self._intensity, self._options = frames, intensity, request.options
        self._orientation, self._propagator, self._client_gone = orientation, propagator, client_gone
        self._image_key = (image_stamp(request.image), axis, intensity, request.device)
        self._box, self._axis = box, axis
        self._range = _frame_range(request, len(frames), box, axis)
        self.labels: Labels = np.zeros(frames.shape[:3], dtype=np.uint8)
        self.confidence: dict[str, dict[int, float]] = {}
        self.presence: dict[str, dict[int, float]] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a slice."""
        return int(self._frames.shape[1]), int(self._frames.shape[2])

    @property
    def propagates(self) -> bool:
        """Whether more than the seed slices was asked for."""
        return self._options.propagate

    def covers(self, index: int) -> bool:
        """Whether a slice was asked for."""
        return self._range[0] <= index <= self._range[1]

    def image(self, index: int) -> npt.NDArray[np.float32]:
        """One slice (H, W) or (H, W, 3) as the prompts see it."""
        return self._intensity.apply(self._frames[index])

    def run(self, plan: SeedPlan, marks: Sequence[Marks]) -> None:
        """Fill `labels` (T, H, W), `confidence` and `presence` from a plan's seeds."""
        self._refuse_seedless(plan)
        largest = max(max(seed.objects) for seed in plan.seeds)
        self.labels = np.zeros(self.labels.shape, dtype=np.uint8 if largest < 256 else np.uint16)
        self.confidence, self.presence = ({entry.name: {} for entry in marks} for _ in range(2))
        if not self.propagates:
            for seed in plan.seeds:
                self._keep(seed.index, seed.labels)
                self._judge(seed.index, marks, *_certainty(seed))
            return
        results = self._orientation.propagate(
            self._propagator,
            self._frames,
            self._intensity,
            plan.seeds,
            directions=self._options.directions,
            frame_range=self._range,
            image_key=self._image_key,
        )
        for result in results:
            refuse_if_gone(self._client_gone)
            self._keep(result.index, result.labels)
            self._judge(result.index, marks, result.confidence, result.presence)

    def _keep(self, index: int, labels: Labels) -> None:
        self.labels[index] = labels
        self._crop(index)

    def _judge(
        self, index: int, marks: Sequence[Marks], confidence: Mapping[int, float], presence: Mapping[int, float]
    ) -> None:
        for entry in marks:
            if entry.object_id in confidence:
                self.confidence[entry.name][index] = round(float(confidence[entry.object_id]), 4)
                self.presence[entry.name][index] = round(float(presence[entry.object_id]), 4)

    def _crop(self, index: int) -> None:
        """Everything outside a region is background."""
        if self._box is None:
            return
        row, column = (axis for axis in range(3) if axis != self._axis)
        low, high = self._box.low, self._box.high
        inside = (slice(low[row], high[row] + 1), slice(low[column], high[column] + 1))
        kept = self.labels[index][inside].copy()
        self.labels[index] = 0
        self.labels[index][inside] = kept

    def _refuse_seedless(self, plan: SeedPlan) -> None:
        if not plan.seeds:
            raise RequestError("; ".join(plan.warnings) + "; mark more of the object, or paint its mask on one slice")
        slices = [seed.index for seed in plan.seeds]
        if not any(self.covers(index) for index in slices):
            raise RequestError(
                f"the seeds are on slices {slices}, and only slices {self._range[0]} to {self._range[1]} were asked "
                "for; mark the object there, or widen slice_range"
            )


def _certainty(seed: Seed) -> tuple[dict[int, float], dict[int, float]]:
    """Confidence and presence of what a person said on one slice."""
    return dict.fromkeys(seed.objects, 1.0), {one: float((seed.labels == one).any()) for one in seed.objects}


def _frame_range(request: InferRequest, count: int, box: Box | None, axis: int) -> tuple[int, int]:
    """First and last slice to compute: those asked for, else those of a region that is more than one slice thick."""
    asked = request.options.slice_range
    if asked is not None:
        if not 0 <= asked[0] <= asked[1] < count:
            raise RequestError(
                f"slice_range {list(asked)} does not fit: axis {axis} of this volume has slices 0 to {count - 1}"
            )
        return asked
    if box and box.high[axis] > box.low[axis]:
        return box.low[axis], box.high[axis]
    return 0, count - 1
