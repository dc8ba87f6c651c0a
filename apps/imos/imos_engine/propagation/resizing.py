"""Between a frame's own pixels and the grid on which the network runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from imos_engine.network import STRIDE


@dataclass(frozen=True)
class FrameGrid:
    """A frame of `frame_size` is resized to `inner_size`, then padded evenly to multiples of the network's stride."""

    frame_size: tuple[int, int]
    inner_size: tuple[int, int]

    @staticmethod
    def fit(frame_size: tuple[int, int], size: int | None) -> FrameGrid:
        """The grid whose area is that of a square of side `size`, in the frame's own proportions."""
        if size is None:
            return FrameGrid(frame_size, frame_size)
        height, width = frame_size
        scale = size / (height * width) ** 0.5
        return FrameGrid(frame_size, (max(1, round(height * scale)), max(1, round(width * scale))))

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Pixels added left, right, top, bottom; the smaller half first."""
        (top, bottom), (left, right) = (_halves(-length % STRIDE) for length in self.inner_size)
        return left, right, top, bottom

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width that the network sees, multiples of its stride."""
        left, right, top, bottom = self.padding
        return self.inner_size[0] + top + bottom, self.inner_size[1] + left + right

    def shrink(self, pixels: Tensor) -> Tensor:
        """From the frame's own pixels to the network's: (..., H, W) -> (..., *padded_size), any leading dimensions."""
        leading = pixels.shape[:-2]
        planes = pixels.reshape(-1, 1, *pixels.shape[-2:])
        if self.inner_size != self.frame_size:
            planes = F.interpolate(planes, size=self.inner_size, mode="bilinear", align_corners=False, antialias=True)
        padded = F.pad(planes, self.padding)
        return padded.reshape(*leading, *self.padded_size)

    def restore(self, planes: Tensor) -> Tensor:
        """Back to the frame's own pixels: (K, *padded_size) -> (K, H, W)."""
        left, _, top, _ = self.padding
        height, width = self.inner_size
        inner = planes[:, top : top + height, left : left + width]
        if self.inner_size == self.frame_size:
            return inner
        resized: Tensor = F.interpolate(
            inner[None], size=self.frame_size, mode="bilinear", align_corners=False, antialias=True
        )[0]
        return resized


def _halves(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2
