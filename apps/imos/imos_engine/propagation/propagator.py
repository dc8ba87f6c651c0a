"""Carry annotated frames through a whole sequence, both ways."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imos_engine.config import MemoryConfig, PropagationConfig
from imos_engine.network import ImosNetwork
from imos_engine.network.inference import prepare_for_inference
from imos_engine.propagation.features import FeatureCache, FrameEncoder
from imos_engine.propagation.merge import PackedProbabilities, agreement, blend, confidence, label_map
from imos_engine.propagation.resizing import FrameGrid
from imos_engine.propagation.schedule import forward_weight, frame_order
from imos_engine.propagation.sweep import SeedMasks, Sweep, SweepStep
from imos_engine.propagation.timings import Timings
from imos_engine.sequence import BOTH_DIRECTIONS, Direction, Frames, Seed


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameResult:
    """The final answer for one frame."""

    index: int
    labels: npt.NDArray[np.integer[Any]]  # (H, W) object ids at the frame's own size, 0 background
    confidence: Mapping[int, float]  # per object id, 0 to 1


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
        """Prepare a copy of the network for inference; `features` keeps encoded frames from one call to the next."""
        self.settings = settings or PropagationConfig()
        self.memory = memory or MemoryConfig()
        self.timings = Timings()
        self._device = torch.device(device)
        self._network = prepare_for_inference(network, precision=self.settings.precision, device=self._device)
        self._features = features

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
            nothing = np.zeros(frames.size, dtype=run.object_ids.dtype)
            yield FrameResult(index=index, labels=nothing, confidence={int(key): 1.0 for key in run.object_ids})
        self.timings.total = perf_counter() - started

    @torch.inference_mode()  # around each step: between two of them the caller is in its own mode
    def sweep(self, frames: Frames, seeds: Sequence[Seed], direction: Direction) -> Iterator[SweepStep]:
        """One pass, as raw probabilities on the network's grid: for measuring the network, not for users."""
        run = self._prepare(frames, seeds, (0, len(frames) - 1), None)
        yield from self._start(run, direction)

    def _prepare(
        self, frames: Frames, seeds: Sequence[Seed], frame_range: tuple[int, int], image_key: Hashable
    ) -> _Run:
        _check_seeds(frames, seeds, frame_range)
        seeds = [seed for seed in seeds if seed.objects]  # an annotation that speaks about nothing is none
        grid = FrameGrid.fit(frames.size, self.settings.size)
        object_ids = np.unique([object_id for seed in seeds for object_id in seed.objects])
        object_ids = object_ids.astype(np.min_scalar_type(int(object_ids.max())))
        encoder = FrameEncoder(
            self._network, frames, grid,
            batch=self.settings.encode_batch, timings=self.timings, cache=self._features, image_key=image_key,
        )  # fmt: skip
        masks = {seed.index: self._seed_masks(seed, object_ids, grid) for seed in seeds}
        return _Run({seed.index: seed for seed in seeds}, masks, object_ids, grid, encoder, frame_range)

    def _seed_masks(self, seed: Seed, object_ids: npt.NDArray[np.integer[Any]], grid: FrameGrid) -> SeedMasks:
        pixels = torch.from_numpy(np.stack([seed.labels == object_id for object_id in object_ids])).float()
        given = torch.tensor([int(object_id) in seed.objects for object_id in object_ids])
        masks = grid.shrink(pixels.to(self._device)).clamp(0, 1)
        return SeedMasks(masks=masks, given=given.to(self._device))

    def _start(self, run: _Run, direction: Direction) -> Iterator[SweepStep]:
        first, last = run.frame_range
        inside = [index for index in run.masks if first <= index <= last]
        start = min(inside) if direction is Direction.FORWARD else max(inside)
        sweep = Sweep(
            self._network, run.encoder, run.masks, memory=self.memory, settings=self.settings, timings=self.timings
        )
        return sweep.run(frame_order(start, run.frame_range, direction))

    @torch.inference_mode()
    def _passes(self, run: _Run, directions: frozenset[Direction]) -> Iterator[FrameResult]:
        """Forward, then backward; a frame that both may reach waits for the second."""
        held: dict[int, PackedProbabilities] = {}
        both = directions == BOTH_DIRECTIONS
        last_seed = max(run.masks)
        if Direction.FORWARD in directions:
            for step in self._start(run, Direction.FORWARD):
                if both and step.index <= last_seed:
                    held[step.index] = PackedProbabilities.pack(step.probabilities[1:])
                else:
                    yield self._finish(run, step.index, {1: step.probabilities[1:]})
        if Direction.BACKWARD in directions:
            for step in self._start(run, Direction.BACKWARD):
                passes = {-1: step.probabilities[1:]}
                if step.index in held:
                    passes[1] = held.pop(step.index).unpack().to(self._device)
                yield self._finish(run, step.index, passes)
        for index, forward_only in held.items():  # the backward pass ended early
            yield self._finish(run, index, {1: forward_only.unpack().to(self._device)})

    def _finish(self, run: _Run, index: int, passes: Mapping[int, Tensor]) -> FrameResult:
        with self.timings.measure("merge"):
            weights = [forward_weight(index, run.given_frames(int(object_id))) for object_id in run.object_ids]
            shares = torch.tensor([0.5 if weight is None else weight for weight in weights], device=self._device)
            probabilities = blend(passes, shares)
            labels = label_map(probabilities, run.object_ids, run.grid)
            scores = confidence(probabilities, present=probabilities > 0.5)
            if len(passes) == 2:
                scores = torch.where((shares > 0) & (shares < 1), scores * agreement(passes[1], passes[-1]), scores)
        seed = run.seeds.get(index)
        if seed is not None:
            labels = _with_given(labels, seed)
        sure = {
            int(object_id): 1.0 if seed is not None and int(object_id) in seed.objects else float(score)
            for object_id, score in zip(run.object_ids, scores, strict=True)
        }
        return FrameResult(index=index, labels=labels, confidence=sure)


@dataclass(frozen=True)
class _Run:
    """All that stays the same during one propagation."""

    seeds: Mapping[int, Seed]
    masks: Mapping[int, SeedMasks]
    object_ids: npt.NDArray[np.integer[Any]]  # ascending; position is the object's channel
    grid: FrameGrid
    encoder: FrameEncoder
    frame_range: tuple[int, int]

    def given_frames(self, object_id: int) -> list[int]:
        """Frames on which the user spoke about an object, ascending."""
        return sorted(index for index, seed in self.seeds.items() if object_id in seed.objects)


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
