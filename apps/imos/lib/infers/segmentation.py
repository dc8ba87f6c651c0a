"""One request, carried through its volume: from marks, and what is known already, to a label map."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from imos_engine.intensity import Intensity, automatic_intensity, window_intensity
from imos_engine.prompts import SliceSolver
from imos_engine.propagation import Propagator
from imos_engine.sequence import frames_along
from imos_engine.volume_file import Volume
from lib.errors import RequestError, listed
from lib.infers.answer import label_map_of, seeds_only
from lib.infers.carry import Carry, joined_seeds
from lib.infers.changes import Grid, find_changes, marked_voxels
from lib.infers.marks import Labels, Marks, clip_box, collect_marks
from lib.infers.own_marks import without_answers
from lib.infers.planting import plant_corrections, plant_seeds
from lib.infers.protection import protected_masks, unmarked
from lib.infers.refinement import Refinement
from lib.infers.request import Box, InferRequest
from lib.infers.seeds import SeedPlan, report_of
from lib.sessions.step import ObjectState, Step
from lib.transforms.orientation import patient_order
from lib.transforms.volumes import image_warnings


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
    recomputed: dict[str, tuple[int, int]] = field(default_factory=dict)  # label -> first and last slice
    step: Step | None = None  # what the session knows now; None if nothing new was said

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
    before: Step | None,
    client_gone: threading.Event,
) -> Segmentation:
    """Turn what a person marked, and had marked `before`, into a label map of the whole volume.

    Raises:
        RequestError: for marks or options that do not fit this volume, or a client that left.
    """
    started = perf_counter()
    known = dict(before.objects) if before is not None else {}
    _refuse_unanswered(request, known)
    box = clip_box(request.box, image.shape) if request.box else None
    session_ids = {name: state.id for name, state in known.items()}
    marks = collect_marks(request, label_map, shape=image.shape, known_ids=known_ids, session_ids=session_ids)
    protected = protected_masks(request, label_map, known)
    told = without_answers(unmarked(marks, protected), request, label_map, known)
    spoken = [entry for entry in told if entry.is_spoken_of or (box and entry.name not in known)]
    changes = find_changes(spoken, known, box, _grid(request, image, before))
    intensity = _intensity(request, image, told, changes.axis, box=box, before=before)
    carry = Carry(
        request, image, intensity, box, axis=changes.axis, propagator=propagator, solve=solve, client_gone=client_gone
    )
    work = Refinement(known, shape=image.shape, spacing_mm=image.spacing_mm, box=box, protected=protected)
    ids = {entry.name: entry.object_id for entry in marks}
    work.enter(ids)
    for index in _accepted(request, image, changes.axis):
        work.accept(changes.axis, index)
    warnings = plant_seeds(work, changes, carry)
    options = _options_digest(request)
    if before is not None and before.options != options and not work.is_changed:
        work.stir()
    prompted = perf_counter()
    _refuse_unseen(work, list(ids), carry, changes.axis, warnings)
    warnings += _out_of_range(work, ids, carry)
    if request.options.propagate:
        work.settle(carry)
        warnings += plant_corrections(work, changes, carry)
        work.settle(carry)
    step = Step(
        objects=work.objects,
        axis=changes.axis,
        intensity=intensity,
        options=options,
        recomputed={
            name: (min(first for _, first, _ in slabs), max(last for _, _, last in slabs))
            for name, slabs in work.recomputed.items()
        },
    )
    result = answer_of(step, ids, shape=image.shape, last=protected, seeds_alone=not request.options.propagate)
    result.seconds = carry.seconds | {"prompts": round(prompted - started, 4)}
    result.warnings = _warnings(request, image, ids, warnings)
    result.step = step if work.is_changed and request.options.propagate else None
    return result


def answer_of(
    step: Step, ids: Mapping[str, int], *, shape: tuple[int, ...], last: Collection[str] = (), seeds_alone: bool = False
) -> Segmentation:
    """What a state says of some objects, with the ids that they have in this reply; those of `last` lie on top."""
    axis, objects = step.axis, {name: replace(step.objects[name], id=number) for name, number in ids.items()}
    along = {name: list(state.seeds_along(axis).values()) for name, state in objects.items()}
    layers = {name: state.layers[axis] for name, state in objects.items() if axis in state.layers}
    height, width = (side for one, side in enumerate(shape) if one != axis)
    reports = [report_of(name, seed) for name, state in objects.items() for seed in state.seeds]
    seeded = {name: dict.fromkeys((seed.index for seed in seeds), 1.0) for name, seeds in along.items()}
    present = {name: {seed.index: float(bool(seed.mask)) for seed in seeds} for name, seeds in along.items()}
    return Segmentation(
        labels=(seeds_only if seeds_alone else label_map_of)(objects, shape=shape, last=last),
        axis=axis,
        marks=[Marks(name=name, object_id=number) for name, number in ids.items()],
        plan=SeedPlan(
            axis=axis,
            seeds=joined_seeds(along, ids, size=(height, width)),
            reports=sorted(reports, key=lambda report: (report.axis, report.slice)),
        ),
        confidence=seeded if seeds_alone else {name: dict(layer.confidence) for name, layer in layers.items()},
        presence=present if seeds_alone else {name: dict(layer.presence) for name, layer in layers.items()},
        seconds={},
        warnings=[],
        recomputed={name: slices for name, slices in step.recomputed.items() if name in ids},
    )


def _grid(request: InferRequest, image: Volume, before: Step | None) -> Grid:
    return Grid(
        shape=image.shape,
        spacing_mm=image.spacing_mm,
        order=patient_order(image.affine),
        forced_axis=request.options.slice_axis,
        session_axis=None if before is None else before.axis,
    )


def _intensity(
    request: InferRequest, image: Volume, marks: Sequence[Marks], axis: int, *, box: Box | None, before: Step | None
) -> Intensity:
    """The window that was asked for, else the session's, else the one that suits what was marked."""
    frames = frames_along(image.array, axis)
    if request.options.window:
        return window_intensity(frames, request.options.window)
    if before is not None:
        return before.intensity
    return automatic_intensity(frames, frames_along(marked_voxels(marks, box, shape=image.shape), axis))


def _options_digest(request: InferRequest) -> str:
    """Of the options that change what is carried from the same marks."""
    options, box = request.options, request.box
    directions = sorted(one.name for one in options.directions)
    said = (options.window, directions, options.slice_range, box, options.adapter)
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _accepted(request: InferRequest, image: Volume, axis: int) -> tuple[int, ...]:
    """The slices that a person said are right.

    Raises:
        RequestError: they lie outside the volume.
    """
    accepted, count = request.options.accepted_slices, image.shape[axis]
    outside = [index for index in accepted if index >= count]
    if outside:
        raise RequestError(
            f"accepted_slices holds {listed(outside)}, and axis {axis} of this volume has slices 0 to {count - 1}"
        )
    return accepted


def _refuse_unanswered(request: InferRequest, known: Mapping[str, ObjectState]) -> None:
    """Refuse to accept slices of which nothing is known; those painted in a label file are seeds anyway."""
    if request.options.accepted_slices and request.label_file is None and not known:
        raise RequestError(
            "accepted_slices came, and nothing was answered yet for this image and client; send the masks in a label "
            "file, or mark the object first, with the same client_id"
        )


def _refuse_unseen(work: Refinement, names: Sequence[str], carry: Carry, axis: int, warnings: Sequence[str]) -> None:
    """Refuse marks of which nothing came, and those that lie where nothing was asked for."""
    states = [work.objects[name] for name in names]
    if any(state.layers or (state.answer and not state.seeds) for state in states):
        return
    seeds = [seed for state in states for seed in state.seeds]
    if not seeds:
        raise RequestError("; ".join(warnings) + "; mark more of the object, or paint its mask on one slice")
    slices = sorted({seed.index for seed in seeds if seed.axis == axis})
    if not any(carry.covers(seed.axis, seed.index) for seed in seeds):
        first, last = carry.range(axis)
        raise RequestError(
            f"the seeds are on slices {slices}, and only slices {first} to {last} were asked for; mark the object "
            "there, or widen slice_range"
        )


def _out_of_range(work: Refinement, names: Collection[str], carry: Carry) -> list[str]:
    """A warning for each object that has seeds, but none where anything was asked for, and no answer from before."""
    warnings = []
    for name in names:
        state = work.objects[name]
        if state.layers or not state.seeds or any(carry.covers(seed.axis, seed.index) for seed in state.seeds):
            continue
        first, last = carry.range(state.seeds[0].axis)
        slices = listed(sorted({seed.index for seed in state.seeds}))
        warnings.append(
            f"{name!r} was marked on slices {slices}, and only slices {first} to {last} were asked for: it was not "
            "carried; mark it there, or widen slice_range"
        )
    return warnings


def _warnings(request: InferRequest, image: Volume, names: Collection[str], warnings: Sequence[str]) -> list[str]:
    missing = [f"nothing is marked for {name!r}; it was left out" for name in request.objects if name not in names]
    return [*request.warnings, *image_warnings(image), *warnings, *missing]
