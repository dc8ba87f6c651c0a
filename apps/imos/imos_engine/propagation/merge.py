"""From both passes' probabilities to one label map per frame."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from imos_engine.propagation.resizing import Box, FrameGrid


@dataclass(frozen=True)
class HeldStep:
    """One pass's answer, held until the other pass arrives: 8 bits each, compressed, since most of them are 0 or 1."""

    grid: FrameGrid
    packed: bytes
    shape: tuple[int, ...]

    @staticmethod
    def pack(grid: FrameGrid, probabilities: Tensor) -> HeldStep:
        """Shapes: probabilities (K, h, w) on the grid, 0 to 1."""
        quantised = (probabilities * 255).round().to(torch.uint8).cpu().numpy()
        return HeldStep(grid, zlib.compress(quantised.tobytes(), level=1), tuple(probabilities.shape))

    def unpack(self, device: torch.device) -> tuple[FrameGrid, Tensor]:
        """Returns: the grid and (K, h, w) float32, 0 to 1, exact to 1/510."""
        flat = np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8)
        return self.grid, torch.from_numpy(flat.reshape(self.shape).astype(np.float32) / 255).to(device)


def blend(passes: Mapping[int, Tensor], weights: Tensor) -> Tensor:
    """Weighted mean of the passes, object by object.

    Shapes: passes {direction sign: (K, H, W)}; weights (K,), the forward pass's share. An object that only one pass
    reached counts in full there. Returns: (K, H, W).
    """
    if 1 not in passes or -1 not in passes:
        sign, only = next(iter(passes.items()))
        reached = weights > 0 if sign == 1 else weights < 1
        return only * reached[:, None, None]
    share = weights[:, None, None]
    return passes[1] * share + passes[-1] * (1 - share)


class LabelCanvas:
    """One frame's label map, filled object by object: each pixel goes to the surest object, or to the background."""

    def __init__(self, frame_size: tuple[int, int], dtype: np.dtype[Any], device: torch.device) -> None:
        self._dtype = dtype
        self._taken = torch.zeros(frame_size, device=device)
        self._best = torch.zeros(frame_size, device=device)
        self._winner = torch.zeros(frame_size, dtype=torch.int32, device=device)

    def add(self, box: Box, probabilities: Tensor, object_ids: Sequence[int]) -> None:
        """Shapes: probabilities (K, box.height, box.width), 0 to 1."""
        where = box.slices
        best = probabilities.max(0)  # ten times faster across the first dimension than argmax (CPU, torch 2.14)
        ids = torch.tensor([int(one) for one in object_ids], dtype=torch.int32, device=probabilities.device)
        wins = best.values > self._best[where]
        self._winner[where] = torch.where(wins, ids[best.indices], self._winner[where])
        self._best[where] = torch.where(wins, best.values, self._best[where])
        self._taken[where] += probabilities.sum(0)

    def labels(self) -> npt.NDArray[np.integer[Any]]:
        """(H, W), 0 where the background is surer than every object."""
        background = (1 - self._taken).clamp(min=0)
        found = torch.where(self._best > background, self._winner, torch.zeros_like(self._winner))
        return found.cpu().numpy().astype(self._dtype)


def on_one_box(planes: Mapping[int, tuple[FrameGrid, Tensor]]) -> tuple[Box, dict[int, Tensor]]:
    """What passes found in their windows, in the frame's own pixels, on the box that holds all windows.

    Shapes: planes {direction sign: (grid, (K, *grid.padded_size))}. Returns: the box, {sign: (K, height, width)}.
    """
    boxes = [grid.box for grid, _ in planes.values()]
    box = boxes[0]
    for other in boxes[1:]:
        box = box.joined(other)
    restored = {}
    for sign, (grid, found) in planes.items():
        own = grid.restore(found)
        if grid.box != box:
            top, left = grid.box.top - box.top, grid.box.left - box.left
            right, bottom = box.width - left - grid.box.width, box.height - top - grid.box.height
            own = F.pad(own, (left, right, top, bottom))
        restored[sign] = own
    return box, restored


def confidence(probabilities: Tensor, *, present: Tensor) -> Tensor:
    """How sure the answer is, 0 to 1 per object: mean probability inside its mask; where it has none, 1 - the maximum.

    Shapes: probabilities and present (K, h, w). Returns: (K,).
    """
    inside = (probabilities * present).flatten(1).sum(1) / present.flatten(1).sum(1).clamp(min=1)
    outside = 1 - probabilities.flatten(1).amax(1)
    return torch.where(present.flatten(1).any(1), inside, outside)


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Soft intersection over union of two passes, 0 to 1 per object; 1 when neither sees the object.

    Shapes: first and second (K, h, w). Returns: (K,).
    """
    overlap = torch.minimum(first, second).flatten(1).sum(1)
    union = torch.maximum(first, second).flatten(1).sum(1)
    return torch.where(union < 0.5, torch.ones_like(union), overlap / union.clamp(min=1e-6))
