"""Encoded frames: made in batches, kept for the next request on the same image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from imos_engine.network import FrameFeatures, ImosNetwork
from imos_engine.propagation.resizing import FrameGrid
from imos_engine.propagation.tensor_cache import TensorCache
from imos_engine.propagation.timings import Timings
from imos_engine.sequence import Frames


class FeatureCache(TensorCache[FrameFeatures]):
    """Encoded frames by key."""


class FrameEncoder:
    """Serves encoded frames of one sequence, encoding ahead in batches."""

    def __init__(
        self,
        network: ImosNetwork,
        frames: Frames,
        *,
        batch: int,
        timings: Timings,
        cache: FeatureCache | None = None,
        image_key: Hashable = None,
    ) -> None:
        self._network, self._frames = network, frames
        self._batch, self._timings = batch, timings
        self._cache = cache if image_key is not None else None
        self._image_key = image_key
        self._ahead: dict[tuple[int, FrameGrid], FrameFeatures] = {}
        self._shrunk: dict[tuple[int, FrameGrid], Tensor] = {}  # images of frames encoded ahead
        self._pixels: tuple[tuple[int, FrameGrid], Tensor] | None = None  # the image asked for last
        parameter = next(network.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype

    def image(self, index: int, grid: FrameGrid) -> Tensor:
        """One frame as the network sees it, (1, 3, h, w)."""
        if self._pixels is None or self._pixels[0] != (index, grid):
            held = self._shrunk.pop((index, grid), None)
            self._pixels = (index, grid), self._images(index, index + 1, grid) if held is None else held
        return self._pixels[1]

    def features(self, index: int, grid: FrameGrid, upcoming: Sequence[int]) -> FrameFeatures:
        """Features of one frame; frames `upcoming` (in order of need) are encoded along with it."""
        self._timings.frames += 1
        ready = self._ahead.pop((index, grid), None)
        if ready is not None:
            return ready
        self._ahead.clear()  # made for a window that has moved since, or for frames that are not visited
        self._shrunk.clear()
        cached = self._cached(index, grid)
        if cached is not None:
            self._timings.cached_frames += 1
            return cached
        run = [index]
        for candidate in upcoming[: self._batch - 1]:
            if abs(candidate - run[-1]) != 1 or self._is_cached(candidate, grid):
                break
            run.append(candidate)
        self._encode(run, grid)
        return self._ahead.pop((index, grid))

    def _encode(self, run: Sequence[int], grid: FrameGrid) -> None:
        first = min(run)
        with self._timings.measure("encode"):
            images = self._images(first, max(run) + 1, grid)
            encoded = self._network.encode_frames(images)
        for index in run:
            self._shrunk[index, grid] = images[index - first : index - first + 1]
            one = encoded[index - first : index - first + 1]
            if self._cache is not None:
                one = one.copy()  # else the budget would count one frame where a batch stays allocated
                self._cache.put(self._key(index, grid), one)
            self._ahead[index, grid] = one

    def _images(self, start: int, stop: int, grid: FrameGrid) -> Tensor:
        pixels = self._frames.normalised(start, stop).to(self._device)
        grey = pixels.stride(1) == 0  # repeated to three channels: resize once
        shrunk = grid.shrink(pixels[:, :1] if grey else pixels).expand(-1, 3, -1, -1)
        return shrunk.to(self._dtype).contiguous(memory_format=torch.channels_last)

    def _key(self, index: int, grid: FrameGrid) -> Hashable:
        return self._image_key, grid, self._dtype, index

    def _is_cached(self, index: int, grid: FrameGrid) -> bool:
        return self._cache is not None and self._key(index, grid) in self._cache

    def _cached(self, index: int, grid: FrameGrid) -> FrameFeatures | None:
        return None if self._cache is None else self._cache.get(self._key(index, grid))
