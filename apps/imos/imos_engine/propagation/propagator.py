"""Carry annotated frames through a whole sequence, both ways."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imos_engine.config import MemoryConfig, PropagationConfig
from imos_engine.network import ImosNetwork
from imos_engine.network.inference import prepare_for_inference
from imos_engine.propagation.confidence import Calibration, Evidence
from imos_engine.propagation.features import FeatureCache, FrameEncoder
from imos_engine.propagation.group_seeds import GroupSeeds
from imos_engine.propagation.grouping import extents_by_object, grouped
from imos_engine.propagation.merge import HeldAnswer, LabelCanvas, Merged, PassAnswer
from imos_engine.propagation.motion_field import FlowCache, MotionField
from imos_engine.propagation.scene import Scene
from imos_engine.propagation.schedule import forward_weight, frame_order
from imos_engine.propagation.sweep import Sweep, SweepStep
from imos_engine.propagation.timings import Timings
from imos_engine.propagation.window import Windows
from imos_engine.sequence import BOTH_DIRECTIONS, Direction, Frames, Seed


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameResult:
    """The final answer for one frame."""

    index: int
    labels: npt.NDArray[np.integer[Any]]  # (H, W) object ids at the frame's own size, 0 background
    confidence: Mapping[int, float]  # per object id, 0 to 1: the Dice that its mask is expected to have
    presence: Mapping[int, float]  # per object id, 0 to 1: how likely the object is in the frame at all
    evidence: Mapping[int, Evidence]  # per object id that was not annotated here: what its confidence rests on


class Propagator:
    """Turns seeds into label maps for every frame. One instance serves any number of sequences, one at a time."""

    def __init__(
        self,
        network: ImosNetwork,
        *,
        memory: MemoryConfig | None = None,
        settings: PropagationConfig | None = None,
        device: torch.device | str = "cpu",
        features: FeatureCache | None = None,
    ) -> None:
        """Prepare a copy of the network for inference; `features` keeps encoded frames from one call to the next.

        Raises:
            ValueError: the network brings a calibration that cannot be read.
        """
        self.settings = settings or PropagationConfig()
        self.calibration = Calibration.from_metadata(network.metadata)
        chosen = self.settings.presence_threshold
        self._presence_threshold = self.calibration.presence_threshold if chosen is None else chosen
        self.memory = memory or MemoryConfig()
        self.timings = Timings()
        self._device = torch.device(device)
        self._network = prepare_for_inference(network, precision=self.settings.precision, device=self._device)
        self._features = features
        self._flows = FlowCache(self.settings.feature_cache_bytes)

    def propagate(
        self,
        frames: Frames,
        seeds: Sequence[Seed],
        *,
        directions: frozenset[Direction] = BOTH_DIRECTIONS,
        frame_range: tuple[int, int] | None = None,
        image_key: Hashable = None,
    ) -> Iterator[FrameResult]:
        """Yield the label map of every frame in the range once, as soon as it is final; stop iterating to cancel.

        Args:
            frames: the sequence.
            seeds: annotated frames, at most one per frame; they come back exactly as given.
            directions: which ways seeds are carried.
            frame_range: first and last frame to compute, both included; None is all. Seeds outside it still inform.
            image_key: identity of the image for the feature cache; None keeps nothing.

        Raises:
            ValueError: no seed in the range, two seeds on one frame, a seed outside the sequence or of another size, no
                direction.
        """
        started = perf_counter()
        self.timings = Timings()
        if not directions:
            raise ValueError("no direction: carry seeds forward, backward or both ways")
        first, last = frame_range or (0, len(frames) - 1)
        run = self._prepare(frames, seeds, (first, last), image_key)
        pending = set(range(first, last + 1))
        for result in self._passes(run, directions):
            pending.discard(result.index)
            self.timings.total = perf_counter() - started
            yield result
        for index in sorted(pending):
            yield self._finish(run, index, {})
        self.timings.total = perf_counter() - started

    @torch.inference_mode()  # around each step: between two of them the caller is in its own mode
    def sweep(self, frames: Frames, seeds: Sequence[Seed], direction: Direction) -> Iterator[SweepStep]:
        """One pass of the objects that share the first window, as raw probabilities on the network's grid.

        For measuring the network, not for users.
        """
        run = self._prepare(frames, seeds, (0, len(frames) - 1), None)
        for _, steps in self._pass(run, direction):
            if 0 in steps:
                yield steps[0]

    def _prepare(
        self, frames: Frames, seeds: Sequence[Seed], frame_range: tuple[int, int], image_key: Hashable
    ) -> _Run:
        _check_seeds(frames, seeds, frame_range)
        seeds = [seed for seed in seeds if seed.objects]  # an annotation that speaks about nothing is none
        object_ids = np.unique([object_id for seed in seeds for object_id in seed.objects])
        object_ids = object_ids.astype(np.min_scalar_type(int(object_ids.max())))
        encoder = FrameEncoder(
            self._network, frames,
            batch=self.settings.encode_batch, timings=self.timings, cache=self._features, image_key=image_key,
        )  # fmt: skip
        motion = MotionField(frames, device=self._device, timings=self.timings, cache=self._flows, image_key=image_key)
        scene = Scene(
            network=self._network,
            encoder=encoder,
            motion=motion,
            windows=Windows(frames.size, self.settings.size, self.settings.window),
            memory=self.memory,
            settings=self.settings,
            presence_threshold=self._presence_threshold,
            timings=self.timings,
        )
        groups = grouped(extents_by_object(seeds, object_ids), scene.windows)
        told = {number: GroupSeeds.of(scene, seeds, objects, self._device) for number, objects in enumerate(groups)}
        return _Run({seed.index: seed for seed in seeds}, object_ids, groups, told, scene, frame_range, frames.size)

    def _sweeps(self, run: _Run, direction: Direction) -> dict[int, tuple[int, Sweep]]:
        """Per group that has a seed in the range: the frame on which it starts, and its sweep."""
        first, last = run.frame_range
        sweeps = {}
        for number, seeds in run.group_seeds.items():
            inside = [index for index in seeds if first <= index <= last]
            if inside:
                start = min(inside) if direction is Direction.FORWARD else max(inside)
                sweeps[number] = start, Sweep(run.scene, seeds)
        return sweeps

    def _pass(self, run: _Run, direction: Direction) -> Iterator[tuple[int, dict[int, SweepStep]]]:
        """Frames in one direction, each with what every group's sweep found there; gone groups are left out."""
        sweeps = self._sweeps(run, direction)
        if not sweeps:
            return
        starts = [start for start, _ in sweeps.values()]
        order = frame_order(min(starts) if direction is Direction.FORWARD else max(starts), run.frame_range, direction)
        for position, index in enumerate(order):
            upcoming = order[position + 1 :]
            steps = {}
            for number, (start, sweep) in sweeps.items():
                if (index - start) * direction.value >= 0 and (step := sweep.visit(index, upcoming)) is not None:
                    steps[number] = step
            if steps:
                yield index, steps

    @torch.inference_mode()
    def _passes(self, run: _Run, directions: frozenset[Direction]) -> Iterator[FrameResult]:
        """Forward, then backward; a frame that both may reach waits for the second."""
        held: dict[int, dict[int, HeldAnswer]] = {}
        both = directions == BOTH_DIRECTIONS
        last_seed = max(run.seeds)
        if Direction.FORWARD in directions:
            for index, found in self._answers(run, Direction.FORWARD):
                if both and index <= last_seed:
                    held[index] = {number: HeldAnswer.pack(answer) for number, answer in found.items()}
                else:
                    yield self._finish(run, index, {1: found})
        if Direction.BACKWARD in directions:
            for index, found in self._answers(run, Direction.BACKWARD):
                passes = {-1: found}
                if index in held:
                    passes[1] = {number: answer.unpack() for number, answer in held.pop(index).items()}
                yield self._finish(run, index, passes)
        for index, forward_only in held.items():  # the backward pass ended early
            yield self._finish(run, index, {1: {key: answer.unpack() for key, answer in forward_only.items()}})

    def _answers(self, run: _Run, direction: Direction) -> Iterator[tuple[int, dict[int, PassAnswer]]]:
        """What `_pass` found, without objects that are probably absent."""
        before: dict[int, PassAnswer] = {}
        for index, steps in self._pass(run, direction):
            found = {
                number: PassAnswer.of(step, presence_threshold=self._presence_threshold, before=before.get(number))
                for number, step in steps.items()
            }
            before |= found
            yield index, found

    def _finish(self, run: _Run, index: int, passes: Mapping[int, Mapping[int, PassAnswer]]) -> FrameResult:
        """A frame's answer from what the passes found there, by direction sign and group."""
        canvas = LabelCanvas(run.frame_size, run.object_ids.dtype, self._device)
        merged: dict[int, Merged] = {}
        with self.timings.measure("merge"):
            for number, objects in enumerate(run.groups):
                found = {sign: groups[number] for sign, groups in passes.items() if number in groups}
                if found:
                    shares = [run.forward_share(index, object_id) for object_id in objects]
                    merged[number] = Merged.of(found, torch.tensor(shares, device=self._device))
                    canvas.add(merged[number].box, merged[number].probabilities, objects)
            labels = canvas.labels()
            seed = run.seeds.get(index)
            if seed is not None:
                labels = _with_given(labels, seed)
            evidence = _evidence(run, index, labels, merged)
        confidence = {object_id: self.calibration.confidence(one) for object_id, one in evidence.items()}
        presence = {object_id: one.presence for object_id, one in evidence.items()}
        for object_id in map(int, seed.objects if seed is not None else ()):
            confidence[object_id] = 1.0
            presence[object_id] = float((labels == object_id).any())
        return FrameResult(index=index, labels=labels, confidence=confidence, presence=presence, evidence=evidence)


@dataclass(frozen=True)
class _Run:
    """All that stays the same during one propagation."""

    seeds: Mapping[int, Seed]
    object_ids: npt.NDArray[np.integer[Any]]  # ascending
    groups: Sequence[Sequence[int]]  # object ids that share a window; an object that was never marked is in none
    group_seeds: Mapping[int, GroupSeeds]  # by the number of the group
    scene: Scene
    frame_range: tuple[int, int]
    frame_size: tuple[int, int]

    def given_frames(self, object_id: int) -> list[int]:
        """Frames on which the user spoke about an object, ascending."""
        return sorted(index for index, seed in self.seeds.items() if object_id in seed.objects)

    def forward_share(self, index: int, object_id: int) -> float:
        """How much the forward pass counts for an object on a frame, 0 to 1; one half where it is annotated."""
        share = forward_weight(index, self.given_frames(object_id))
        return 0.5 if share is None else share


def _evidence(
    run: _Run, index: int, labels: npt.NDArray[np.integer[Any]], merged: Mapping[int, Merged]
) -> dict[int, Evidence]:
    """Per object that the frame's annotation does not speak about: what is known of its mask."""
    given = run.seeds[index].objects if index in run.seeds else frozenset()
    open_ids = [object_id for object_id in map(int, run.object_ids) if object_id not in given]
    distances = {one: min(abs(index - frame) for frame in run.given_frames(one)) for one in open_ids}
    evidence = {one: Evidence.gone(distances[one]) for one in open_ids}
    for number, group in merged.items():
        for channel, object_id in enumerate(run.groups[number]):
            if object_id in evidence:
                labelled = labels[group.box.slices] == object_id
                evidence[object_id] = group.evidence(channel, labelled, distance=distances[object_id])
    return evidence


def _with_given(labels: npt.NDArray[np.integer[Any]], seed: Seed) -> npt.NDArray[np.integer[Any]]:
    """The frame's labels with everything that the seed speaks about exactly as given."""
    spoken = np.isin(labels, sorted(seed.objects))
    return np.where(seed.labels != 0, seed.labels, np.where(spoken, 0, labels)).astype(labels.dtype)


def _check_seeds(frames: Frames, seeds: Sequence[Seed], frame_range: tuple[int, int]) -> None:
    count, (first, last) = len(frames), frame_range
    if not 0 <= first <= last < count:
        raise ValueError(f"frame range {first} to {last} does not lie within frames 0 to {count - 1}")
    if not any(seed.objects for seed in seeds):
        raise ValueError("no seed: annotate at least one frame")
    for seed in seeds:
        if not 0 <= seed.index < count:
            raise ValueError(f"seed on frame {seed.index}, but the sequence has frames 0 to {count - 1}")
        if seed.labels.shape != frames.size:
            raise ValueError(f"seed on frame {seed.index} has shape {seed.labels.shape}, frames have {frames.size}")
    indices = [seed.index for seed in seeds]
    if len(set(indices)) < len(indices):
        raise ValueError(f"two seeds on one frame, seeds are on frames {sorted(indices)}; join them into one")
    if not any(first <= seed.index <= last for seed in seeds if seed.objects):
        raise ValueError(f"no seed within frames {first} to {last}; seeds are on frames {sorted(indices)}")
