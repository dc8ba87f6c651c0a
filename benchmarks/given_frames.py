"""Frames that need no normalisation, for measuring the engine on tensors."""

from __future__ import annotations

from torch import Tensor


class GivenFrames:
    """Frames that are normalised already."""

    def __init__(self, frames: Tensor) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def size(self) -> tuple[int, int]:
        return self._frames.shape[-2], self._frames.shape[-1]

    def normalised(self, start: int, stop: int) -> Tensor:
        return self._frames[start:stop]
