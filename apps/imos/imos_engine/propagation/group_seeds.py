"""What the user gave about the objects that share a window, and what the passes of both directions make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from imos_engine.memory import MemoryStore
from imos_engine.network import FrameFeatures
from imos_engine.network.aggregation import aggregate
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.propagation.scene import Scene
from imos_engine.propagation.seed_likeness import SeedLikeness
from imos_engine.propagation.window import extent_of
from imos_engine.sequence import Seed


@dataclass(frozen=True, kw_only=True)
class SeedMasks:
    """What the user gave on one frame, in a window around it, on the network's grid."""

    masks: Tensor  # (K, h, w) float32, 0 to 1
    given: Tensor  # (K,) bool: objects that the user spoke about; the others are to be predicted


@dataclass(frozen=True, kw_only=True)
class MemoryEntry:
    """What a frame adds to the memory of K objects."""

    features: FrameFeatures
    values: Tensor  # (K, Cv, h, w); zero for objects it says nothing of
    known: Tensor  # (K,) bool: of which it says something

    def write(self, memory: MemoryStore, *, permanent: bool) -> None:
        """Add it; what is permanent is never forgotten."""
        parts = self.features.key, self.features.shrinkage, self.features.selection
        key, shrinkage, selection = (part[0].flatten(1) for part in parts)
        memory.write(key, shrinkage, selection, self.values.flatten(2), known=self.known, permanent=permanent)


class GroupSeeds:
    """The seeds of K objects. Both directions share one, so that nothing about a seed is computed twice."""

    def __init__(self, scene: Scene, masks: Mapping[int, Tensor], given: Mapping[int, Tensor]) -> None:
        """Shapes: per seed frame, masks (K, H, W) in the frame's own pixels, 0 or 1, and (K,) which are given."""
        self._scene, self._masks, self._given = scene, masks, given
        self.likeness = SeedLikeness(scene.encoder, scene.windows, masks, given)
        some_seed = next(iter(masks.values()))
        self.objects, self.device = len(some_seed), some_seed.device

    @classmethod
    def of(cls, scene: Scene, seeds: Sequence[Seed], objects: Sequence[int], device: torch.device) -> GroupSeeds:
        """What some annotated frames say of some objects, by their ids."""
        masks, given = {}, {}
        for seed in seeds:
            if seed.objects.intersection(objects):
                pixels = np.stack([seed.labels == object_id for object_id in objects])
                masks[seed.index] = torch.from_numpy(pixels).float().to(device)
                given[seed.index] = torch.tensor([one in seed.objects for one in objects], device=device)
        return cls(scene, masks, given)

    def __contains__(self, index: int) -> bool:
        """Whether there is a seed on a frame."""
        return index in self._masks

    def __iter__(self) -> Iterator[int]:
        """The frames with a seed."""
        return iter(self._masks)

    def extent(self, index: int) -> Box | None:
        """The box around what was given on a seed's frame, in the frame's own pixels."""
        return extent_of((self._masks[index] > 0.5).any(0).cpu().numpy())

    def on(self, index: int, grid: FrameGrid) -> SeedMasks:
        """The seed on a frame, as the network sees it."""
        return SeedMasks(masks=grid.shrink(self._masks[index]).clamp(0, 1), given=self._given[index])

    @cached_property
    def entries(self) -> tuple[MemoryEntry, ...]:
        """What the seeds add to memory before the first frame: a correction far ahead helps here already."""
        return tuple(map(self._entry, self))

    def _entry(self, index: int) -> MemoryEntry:
        scene, grid = self._scene, self._scene.windows.around(self.extent(index))
        seed = self.on(index, grid)
        features = scene.encoder.features(index, grid, ())
        channels = seed.given.nonzero()[:, 0]
        masks = aggregate(seed.masks[None, channels])[1][:, 1:].to(scene.dtype)
        hidden = scene.network.initial_hidden(1, len(channels), *features.key.shape[-2:])
        with scene.timings.measure("write"):
            found, _ = scene.network.encode_values(
                scene.encoder.image(index, grid), features.f16, masks, hidden, deep_update=False
            )
        return MemoryEntry(features=features, values=spread(found[0], channels, self.objects), known=seed.given)


def spread(values: Tensor, channels: Tensor, objects: int) -> Tensor:
    """Values (k, ...) of some objects as (objects, ...) of all, zero for the others."""
    every = torch.zeros((objects, *values.shape[1:]), dtype=values.dtype, device=values.device)
    every[channels] = values
    return every
