"""Batches of clips, made by worker processes. Batch s of a phase depends on seed, phase and s alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from imos_engine.config import NEIGHBOURS
from imos_engine.intensity import robust_intensity
from imos_engine.motion import FlowEstimator, grey_bytes
from imos_engine.training.augmentation import LabelledClip, augmented, with_some_objects
from imos_engine.training.recipe import Phase

CLIPS_PER_PHASE = 10**9  # clip indices that belong to one phase; no run exhausts them


class SourceClip(Protocol):
    """What a source gives: frames in [0, 1] and their labels."""

    @property
    def frames(self) -> NDArray[np.float32]:
        """(T, 3, H, W)."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(T, H, W), 0 background."""


class ClipSource(Protocol):
    """Endless clips; the same index gives the same clip."""

    def clip(self, index: int) -> SourceClip:
        """The clip of this index, 0 or more."""


SourceFactory = Callable[..., ClipSource]  # (frames=, size=, seed=) -> source, picklable


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Clips of one shape; objects are padded to the most that a clip has (at least one)."""

    frames: Tensor  # (B, T, 3, H, W) float32, normalised as at inference
    masks: Tensor  # (B, T, K, H, W) float32, 0 or 1
    valid: Tensor  # (B, K), False for padding
    flow: Tensor  # (B, T, N, 2, H, W) float32: where each pixel lies in each of the frames NEIGHBOURS back, in pixels
    known: bool = False  # every clip shows what the network knew before

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        frames, masks = self.frames.to(device, non_blocking=True), self.masks.to(device, non_blocking=True)
        valid, flow = self.valid.to(device), self.flow.to(device)
        return Batch(frames=frames, masks=masks, valid=valid, flow=flow, known=self.known)


class ClipBatches(Dataset[Batch]):
    """Batch s of one phase, for any s."""

    def __init__(self, source: ClipSource, phase: Phase, *, phase_index: int, seed: int) -> None:
        self.source = source
        self.phase = phase
        self.phase_index = phase_index
        self.seed = seed

    def __getitem__(self, step: int) -> Batch:
        """The batch of this step, counted from 0 within the phase."""
        first = self.phase_index * CLIPS_PER_PHASE + step * self.phase.batch
        # One bound on the objects per batch: clips of one batch then hardly differ in it, and padding stays rare.
        most = int(np.random.default_rng([self.seed, 1, first]).integers(1, self.phase.max_objects + 1))
        return collate([self._clip(index, most) for index in range(first, first + self.phase.batch)])

    def _clip(self, index: int, most: int) -> LabelledClip:
        random = np.random.default_rng([self.seed, 0, index])
        made = self.source.clip(index)
        clip = augmented(labelled(made), random)
        return with_some_objects(clip, most, random)


def labelled(made: SourceClip) -> LabelledClip:
    """What a source gives, as something that can be augmented.

    A source may know how its frames are normalised, and that its objects taper.
    """
    intensity, tapers = getattr(made, "intensity", None), getattr(made, "tapers", False)
    return LabelledClip(frames=made.frames, labels=made.labels, intensity=intensity, tapers=tapers)


def collate(clips: list[LabelledClip]) -> Batch:
    """Normalise every clip as propagation does, and give every object its own mask."""
    intensities = [clip.intensity or robust_intensity(clip.frames) for clip in clips]
    pairs = zip(intensities, clips, strict=True)
    frames = torch.stack([torch.from_numpy(intensity.apply(clip.frames)) for intensity, clip in pairs])
    labels = torch.from_numpy(np.stack([clip.labels for clip in clips])).long()
    objects = max(1, int(labels.max()))
    numbers = torch.arange(1, objects + 1)
    masks = (labels[:, :, None] == numbers[:, None, None]).float()
    flow = torch.stack([flow_of_clip(clip) for clip in frames])
    known = all(clip.known for clip in clips)
    return Batch(frames=frames, masks=masks, valid=masks[:, 0].flatten(2).any(dim=2), flow=flow, known=known)


def flow_of_clip(frames: Tensor) -> Tensor:
    """Optical flow from every frame to those before it: (T, 3, H, W) -> (T, N, 2, H, W), zeros where there is none."""
    grey, estimator = grey_bytes(frames), FlowEstimator(finest_scale=0)
    flow = torch.zeros(len(grey), len(NEIGHBOURS), 2, *grey.shape[1:])
    for index in range(len(grey)):
        for position, back in enumerate(NEIGHBOURS):
            if back <= index:
                flow[index, position] = torch.from_numpy(estimator.origin(grey[index], grey[index - back]))
    return flow
