"""One pass over frames in one direction, for objects that share a window: read, decode, refine, write."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from imos_engine.memory import MemoryStore
from imos_engine.network import STRIDE, FrameFeatures
from imos_engine.network.aggregation import aggregate
from imos_engine.network.refiner import Neighbour, moved_masks
from imos_engine.propagation.group_seeds import GroupSeeds, MemoryEntry, SeedMasks, spread
from imos_engine.propagation.resizing import FrameGrid
from imos_engine.propagation.scene import Scene
from imos_engine.propagation.window import extent_on


@dataclass(frozen=True, kw_only=True)
class SweepStep:
    """What one pass knows after one frame."""

    index: int
    grid: FrameGrid  # where the probabilities lie in the frame
    probabilities: Tensor  # (K+1, h, w) float32, channel 0 the background
    presence: Tensor  # (K,) float32, 0 to 1: how likely each object is in the frame at all; 0 if it is not looked for
    entered: Tensor  # (K,) bool: objects given on this frame or before it
    memory_sizes: tuple[int, int]  # elements in working and long-term memory


@dataclass(frozen=True)
class _Frame:
    """The frame being visited."""

    index: int
    grid: FrameGrid
    image: Tensor  # (1, 3, h, w)
    features: FrameFeatures


@dataclass(frozen=True)
class _Visited:
    """A frame visited before."""

    index: int
    grid: FrameGrid
    image: Tensor  # (1, 3, h, w)
    masks: Tensor  # (K, h, w)


def impose(seed: SeedMasks, probabilities: Tensor) -> Tensor:
    """The user's masks win over the prediction, everywhere.

    Shapes: probabilities (K, h, w), the prediction. Returns: (K+1, h, w), aggregated.
    """
    taken = seed.masks.sum(0) > 0.5
    objects = torch.where(taken, torch.zeros_like(probabilities), probabilities)
    objects = torch.where(seed.given[:, None, None], seed.masks, objects)
    return aggregate(objects[None])[1][0]


class Sweep:
    """The loop of XMem's figure 2 (arXiv 2207.07115) with iMOS's seeds, for K objects at once."""

    def __init__(self, scene: Scene, seeds: GroupSeeds) -> None:
        """Begin with nothing known but the seeds."""
        self._scene, self._seeds = scene, seeds
        self._memory = MemoryStore(scene.memory)
        self._objects, self._device = seeds.objects, seeds.device
        self._entered = torch.zeros(self._objects, dtype=torch.bool, device=self._device)
        self._absent_frames = torch.zeros(self._objects, dtype=torch.long, device=self._device)
        self._visited: deque[_Visited] = deque(maxlen=max(scene.settings.neighbours))  # the last one first
        self._hidden: Tensor | None = None
        self._last_write: int | None = None
        if scene.settings.preload_seeds:
            for entry in seeds.entries:
                entry.write(self._memory, permanent=True)

    def visit(self, index: int, upcoming: Sequence[int]) -> SweepStep | None:
        """Carry the objects to frame `index`; `upcoming` are the frames after it. None: all objects are gone.

        The first frame to be visited must carry a seed.
        """
        is_seed, is_last = index in self._seeds, not upcoming
        if not is_seed and self._all_gone():
            self._visited.clear()  # what it knew of the place is of no use at the next seed
            return None
        grid = self._window(index)
        self._move_hidden(grid)
        seed = self._seeds.on(index, grid) if is_seed else None
        features = self._scene.encoder.features(index, grid, upcoming)
        frame = _Frame(index, grid, self._scene.encoder.image(index, grid), features)
        due = self._last_write is None or abs(index - self._last_write) >= self._scene.memory.write_every
        is_due = (is_seed or due) and not is_last
        probabilities, presence = self._segment(frame, seed, update_hidden=not is_due and not is_last)
        if is_due:
            self._remember(frame, seed, probabilities[1:])
            self._last_write = index
        self._count_absence(probabilities, presence, seed)
        if seed is not None and bool(seed.given[self._entered].all()):
            self._visited.clear()  # what drifted before this seed must not pull at what comes after it
        self._visited.appendleft(_Visited(index, grid, frame.image, probabilities[1:]))
        return SweepStep(
            index=index, grid=grid, probabilities=probabilities, presence=presence,
            entered=self._entered.clone(), memory_sizes=self._memory.sizes,
        )  # fmt: skip

    @property
    def _last(self) -> _Visited | None:
        return self._visited[0] if self._visited else None

    def _all_gone(self) -> bool:
        limit = self._scene.settings.end_after
        return limit is not None and bool((self._absent_frames[self._entered] >= limit).all())

    def _count_absence(self, probabilities: Tensor, presence: Tensor, seed: SeedMasks | None) -> None:
        objects = probabilities[1:]
        best = objects.amax(0)
        pixels = ((objects == best) & (best > probabilities[0])).flatten(1).sum(1)
        settings = self._scene.settings
        visible = (pixels >= settings.min_pixels) & (presence >= self._scene.presence_threshold)
        if seed is not None:
            visible |= seed.given
        self._absent_frames = torch.where(visible, torch.zeros_like(self._absent_frames), self._absent_frames + 1)

    def _window(self, index: int) -> FrameGrid:
        """Around the seed on a seed's frame, else where the objects are expected to have moved."""
        windows, last = self._scene.windows, self._last
        if windows.factor is None:
            return windows.whole
        given = self._seeds.extent(index) if index in self._seeds else None
        if last is None:
            return windows.around(given)
        seen = extent_on(last.grid, last.masks)
        if seen is not None:
            seen = self._scene.motion.moved(seen, index, last.index)
        return windows.following(last.grid, seen.joined(given) if seen and given else seen or given)

    def _move_hidden(self, grid: FrameGrid) -> None:
        """The sensory memory stays where the objects are when the window moves."""
        height, width = (side // STRIDE for side in grid.padded_size)
        if self._hidden is None or self._last is None:
            self._hidden = self._scene.network.initial_hidden(1, self._objects, height, width)
        elif self._last.grid != grid:
            old_height, old_width = self._hidden.shape[-2:]
            x, y = self._last.grid.indices(grid.positions(self._device, stride=STRIDE), stride=STRIDE)
            where = torch.stack(((2 * x + 1) / old_width - 1, (2 * y + 1) / old_height - 1), dim=-1)[None]
            folded = self._hidden.flatten(1, 2)
            moved = F.grid_sample(folded, where.to(folded.dtype), padding_mode="zeros", align_corners=False)
            self._hidden = moved.unflatten(1, (self._objects, -1))

    def _segment(self, frame: _Frame, seed: SeedMasks | None, *, update_hidden: bool) -> tuple[Tensor, Tensor]:
        """Probabilities (K+1, h, w) and presence (K,) of all that has entered; the seed's where there is one."""
        expected = self._entered if seed is None else self._entered & ~seed.given
        limit = self._scene.settings.end_after
        if limit is not None:
            expected = expected & (self._absent_frames < limit)
        presence = torch.zeros(self._objects, device=self._device)
        predicted = torch.zeros(self._objects + 1, *frame.grid.padded_size, device=self._device)
        predicted[0] = 1
        if expected.any():
            predicted, presence = self._predict(frame, expected, update_hidden=update_hidden)
        if seed is None:
            return predicted, presence
        self._entered |= seed.given
        here = seed.masks.flatten(1).amax(1) > 0.5
        return impose(seed, predicted[1:]), torch.where(seed.given, here.float(), presence)

    def _predict(self, frame: _Frame, expected: Tensor, *, update_hidden: bool) -> tuple[Tensor, Tensor]:
        assert self._hidden is not None, "the window is chosen before anything is predicted"
        features = frame.features
        height, width = features.key.shape[-2:]
        channels = expected.nonzero()[:, 0]
        timings, network = self._scene.timings, self._scene.network
        with timings.measure("read"):
            readout = self._memory.read(features.key[0].flatten(1), features.selection[0].flatten(1))
            readout = readout.unflatten(2, (height, width))[None, channels].to(self._scene.dtype)
        with timings.measure("decode"):
            hidden, logits, found = network.decode(
                features, readout, self._hidden[:, channels], update_hidden=update_hidden
            )
            if update_hidden:
                self._hidden[:, channels] = hidden
        presence = found.new_zeros(self._objects)
        presence[channels] = 1  # without a refiner nothing else is known
        if network.refiner is not None and self._visited:
            found, presence[channels] = self._refine(frame, logits[:, 1:], channels)
        probabilities = found.new_zeros(self._objects + 1, *found.shape[2:])
        probabilities[0] = found[0, 0]
        probabilities[channels + 1] = found[0, 1:]
        return probabilities, presence

    def _refine(self, frame: _Frame, coarse: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (1, k+1, h, w) and presence (k,) of the given channels."""
        scene = self._scene
        neighbours = []
        for back in scene.settings.neighbours:
            if back <= len(self._visited):
                visited = self._visited[back - 1]
                flow = scene.motion.between(frame.index, frame.grid, visited.index, visited.grid)
                neighbours.append(Neighbour(visited.masks[None, channels], visited.image, flow))
        with scene.timings.measure("refine"):
            moved = moved_masks(frame.image, neighbours)
            alike = self._seeds.likeness.of(frame.image, frame.grid, channels)
            _, found, presence = scene.network.refine(frame.image, coarse, moved, alike)
        return found, presence[0].sigmoid()

    def _remember(self, frame: _Frame, seed: SeedMasks | None, masks: Tensor) -> None:
        """Write the frame into memory and let its value update the sensory memory."""
        assert self._hidden is not None, "the window is chosen before anything is remembered"
        known, permanent = self._entered, seed is not None
        channels = known.nonzero()[:, 0]
        with self._scene.timings.measure("write"):
            values, self._hidden[:, channels] = self._scene.network.encode_values(
                frame.image, frame.features.f16, masks[None, channels].to(self._scene.dtype),
                self._hidden[:, channels], deep_update=True,
            )  # fmt: skip
            if seed is not None and self._scene.settings.preload_seeds:
                # What the user gave is in memory already; what was predicted beside it is not.
                known, permanent = known & ~seed.given, False
            if known.any():
                every = spread(values[0], channels, self._objects)
                entry = MemoryEntry(features=frame.features, values=every, known=known)
                entry.write(self._memory, permanent=permanent)
