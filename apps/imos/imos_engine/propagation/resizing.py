"""Between a frame's own pixels and the grid on which the network runs: all of the frame, or a window of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from imos_engine.network import STRIDE


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels within a frame."""

    top: int
    left: int
    height: int
    width: int

    @staticmethod
    def whole(frame_size: tuple[int, int]) -> Box:
        """All of a frame."""
        return Box(0, 0, *frame_size)

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.left + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing (..., H, W) with `array[..., *box.slices]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def joined(self, other: Box) -> Box:
        """The smallest box that holds both."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        return Box(top, left, max(self.bottom, other.bottom) - top, max(self.right, other.right) - left)


@dataclass(frozen=True)
class FrameGrid:
    """The `box` of a frame is resized to `inner_size`, then padded evenly to multiples of the network's stride."""

    box: Box
    inner_size: tuple[int, int]

    @staticmethod
    def fit(box: Box, size: int | None) -> FrameGrid:
        """The grid whose area is that of a square of side `size`, in the box's own proportions; None keeps its size."""
        if size is None:
            return FrameGrid(box, (box.height, box.width))
        scale = size / (box.height * box.width) ** 0.5
        return FrameGrid(box, (max(1, round(box.height * scale)), max(1, round(box.width * scale))))

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
        rows, columns = self.box.slices
        planes = pixels[..., rows, columns].reshape(-1, 1, self.box.height, self.box.width)
        if self.inner_size != (self.box.height, self.box.width):
            planes = F.interpolate(planes, size=self.inner_size, mode="bilinear", align_corners=False, antialias=True)
        padded = F.pad(planes, self.padding)
        return padded.reshape(*leading, *self.padded_size)

    def restore(self, planes: Tensor) -> Tensor:
        """Back to the box's own pixels: (K, *padded_size) -> (K, box.height, box.width)."""
        left, _, top, _ = self.padding
        height, width = self.inner_size
        inner = planes[:, top : top + height, left : left + width]
        if self.inner_size == (self.box.height, self.box.width):
            return inner
        resized: Tensor = F.interpolate(
            inner[None], size=(self.box.height, self.box.width), mode="bilinear", align_corners=False, antialias=True
        )[0]
        return resized

    def positions(self, device: torch.device, *, stride: int = 1) -> Tensor:
        """Where the network's pixels (or cells of `stride` pixels) lie in the frame.

        Returns: (2, h, w), column first, then row, in frame pixels; a pixel's centre is at its index.
        """
        left, _, top, _ = self.padding
        height, width = self.padded_size
        rows = (torch.arange(height // stride, device=device) + 0.5) * stride - top
        columns = (torch.arange(width // stride, device=device) + 0.5) * stride - left
        y = rows * (self.box.height / self.inner_size[0]) + self.box.top - 0.5
        x = columns * (self.box.width / self.inner_size[1]) + self.box.left - 0.5
        return torch.stack(torch.meshgrid(x, y, indexing="xy"))

    def indices(self, positions: Tensor, *, stride: int = 1) -> Tensor:
        """Inverse of `positions`: frame pixels (2, ...) to fractional indices of the network's pixels or cells."""
        left, _, top, _ = self.padding
        x = (positions[0] + 0.5 - self.box.left) * (self.inner_size[1] / self.box.width) + left
        y = (positions[1] + 0.5 - self.box.top) * (self.inner_size[0] / self.box.height) + top
        return torch.stack((x, y)) / stride - 0.5


def _halves(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2
