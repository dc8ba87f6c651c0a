"""Optical flow between neighbouring frames, computed once for all objects and requests, and seen from any window."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from imos_engine.motion import FlowEstimator, follow, grey_bytes
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.propagation.tensor_cache import TensorCache
from imos_engine.propagation.timings import Timings
from imos_engine.sequence import Frames

SMALLEST, LARGEST = 320, 512  # side of the square with the flow's area, in pixels
HELD_FRAMES = 8


@dataclass(frozen=True)
class Flow:
    """Where the pixels of one frame lie in another."""

    displacements: Tensor  # (2, h, w) on the flow's own grid, in its pixels, float16

    @property
    def tensors(self) -> tuple[Tensor]:
        """All that takes memory."""
        return (self.displacements,)


class FlowCache(TensorCache[Flow]):
    """Flow by key."""


class MotionField:
    """Flow of one sequence, from one frame to its neighbours at a time."""

    def __init__(
        self,
        frames: Frames,
        *,
        device: torch.device,
        timings: Timings,
        cache: FlowCache | None = None,
        image_key: Hashable = None,
    ) -> None:
        height, width = frames.size
        side = min(max((height * width) ** 0.5, SMALLEST), LARGEST)
        self._grid = FrameGrid.fit(Box.whole(frames.size), round(side))
        self._frames, self._device, self._timings = frames, device, timings
        self._estimator = FlowEstimator()
        self._grey: dict[int, npt.NDArray[np.uint8]] = {}
        self._index: int | None = None
        self._flows: dict[int, Tensor] = {}  # from frame `_index`, by neighbour
        self._cache = cache if image_key is not None else None
        self._image_key = image_key

    def flow(self, index: int, neighbour: int) -> Tensor:
        """Where the pixels of frame `index` lie in `neighbour`: (2, h, w) displacements in frame pixels."""
        if self._index != index:
            self._index = index
            self._flows.clear()
        if neighbour not in self._flows:
            with self._timings.measure("flow"):
                found = self._found(index, neighbour).displacements.float()
                height, width = self._frames.size
                inner_height, inner_width = self._grid.inner_size
                scale = torch.tensor([width / inner_width, height / inner_height])
                self._flows[neighbour] = (found * scale[:, None, None]).to(self._device)
        return self._flows[neighbour]

    def between(self, index: int, grid: FrameGrid, neighbour: int, neighbour_grid: FrameGrid) -> Tensor:
        """The flow from one window to another, in the pixels of the neighbour's: (1, 2, h, w), see `motion.follow`."""
        flow = self.flow(index, neighbour)
        here = grid.positions(self._device)
        there = neighbour_grid.indices(here + self._sampled(flow, here))
        return (there - _indices_like(there))[None]

    def moved(self, extent: Box, index: int, neighbour: int) -> Box:
        """Where a box of frame `neighbour` is to be expected in frame `index`: shifted by the mean flow within it."""
        flow = self.flow(index, neighbour)
        height, width = self._frames.size
        rows, columns = flow.shape[1] / height, flow.shape[2] / width
        top, left = int(extent.top * rows), int(extent.left * columns)
        part = flow[:, top : max(top + 1, int(extent.bottom * rows)), left : max(left + 1, int(extent.right * columns))]
        x, y = (round(float(value)) for value in part.mean((1, 2)))
        top = min(max(extent.top - y, 0), height - extent.height)
        left = min(max(extent.left - x, 0), width - extent.width)
        return Box(top, left, extent.height, extent.width)

    def _found(self, index: int, neighbour: int) -> Flow:
        """The flow on its own grid; in 16 bits whether it was kept or not, so that both give the same masks."""
        key = self._image_key, index, neighbour
        held = None if self._cache is None else self._cache.get(key)
        if held is not None:
            return held
        flow = Flow(torch.from_numpy(self._estimator.origin(self._seen(index), self._seen(neighbour))).half())
        if self._cache is not None:
            self._cache.put(key, flow)
        return flow

    def _sampled(self, flow: Tensor, positions: Tensor) -> Tensor:
        """The flow at frame positions (2, h, w)."""
        inner = self._unpadded(positions)
        sampled: Tensor = follow(flow[None], (inner - _indices_like(inner))[None])[0]
        return sampled

    def _unpadded(self, positions: Tensor) -> Tensor:
        height, width = self._frames.size
        inner_height, inner_width = self._grid.inner_size
        scale = torch.tensor([inner_width / width, inner_height / height], device=self._device)[:, None, None]
        return (positions + 0.5) * scale - 0.5

    def _seen(self, index: int) -> npt.NDArray[np.uint8]:
        if index not in self._grey:
            while len(self._grey) >= HELD_FRAMES:
                del self._grey[next(iter(self._grey))]
            pixels = self._frames.normalised(index, index + 1)
            planes = pixels[:, :1] if pixels.stride(1) == 0 else pixels.mean(1, keepdim=True)
            if self._grid.inner_size != self._frames.size:
                planes = F.interpolate(
                    planes, size=self._grid.inner_size, mode="bilinear", align_corners=False, antialias=True
                )
            self._grey[index] = grey_bytes(planes)[0]
        return self._grey[index]


def _indices_like(positions: Tensor) -> Tensor:
    """Column and row of every pixel: (2, h, w)."""
    height, width = positions.shape[1:]
    x, y = torch.arange(width, device=positions.device), torch.arange(height, device=positions.device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))
