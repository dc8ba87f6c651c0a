"""Blocks that blend what belongs to the frame with what belongs to each object.

A frame's feature is the same for all objects, and convolution is linear: the frame's share of a convolution over
[frame, object] channels is computed once per frame and added to every object's share.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fold_objects(x: Tensor) -> Tensor:
    """(B, K, C, H, W) -> (B*K, C, H, W), the form in which convolutions see objects."""
    return x.flatten(0, 1)


def unfold_objects(x: Tensor, objects: int) -> Tensor:
    """(B*K, C, H, W) -> (B, K, C, H, W); inverse of `fold_objects`."""
    return x.unflatten(0, (-1, objects))


def add_to_objects(per_object: Tensor, per_frame: Tensor) -> Tensor:
    """Add a frame's feature (B, C, H, W) to each of its objects' (B*K, C, H, W)."""
    objects = per_object.shape[0] // per_frame.shape[0]
    if objects == 1:
        return per_object + per_frame
    return fold_objects(unfold_objects(per_object, objects) + per_frame[:, None])


class ObjectResidualBlock(nn.Module):
    """Residual block ReLU-conv-ReLU-conv over objects; a 3x3 convolution carries the shortcut when widths differ."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(in_channels, out_channels, 3, padding=1) if in_channels != out_channels else None
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B*K, Cin, H, W). Returns: (B*K, Cout, H, W)."""
        out = self.conv2(torch.relu(self.conv1(torch.relu(x))))
        return out + (x if self.downsample is None else self.downsample(x))


class ChannelGate(nn.Module):
    """Scale channels by what their mean and maximum over space say (CBAM, arXiv 1807.06521, section 3)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = channels // reduction
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, C, H, W). Returns: the same."""
        gate = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        return x * gate[:, :, None, None]


class SpatialGate(nn.Module):
    """Scale pixels by what their maximum and mean over channels say (CBAM, arXiv 1807.06521, section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 1, 7, padding=3)))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, C, H, W). Returns: the same."""
        summary = torch.stack((x.amax(1), x.mean(1)), dim=1)
        return x * torch.sigmoid(self.spatial(summary))


class BlockAttention(nn.Module):
    """Channel gate, then spatial gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The capitals are the published checkpoint's names.
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, C, H, W). Returns: the same."""
        gated: Tensor = self.SpatialGate(self.ChannelGate(x))
        return gated


class FusionBlock(nn.Module):
    """Blend a frame's feature into each object's: residual block, attention added, residual block.

    XMem (arXiv 2207.07115, supplementary section on network architecture).
    """

    def __init__(self, frame_channels: int, object_channels: int, out_channels: int) -> None:
        super().__init__()
        self.frame_channels = frame_channels
        self.block1 = ObjectResidualBlock(frame_channels + object_channels, out_channels)
        self.attention = BlockAttention(out_channels)
        self.block2 = ObjectResidualBlock(out_channels, out_channels)

    def frame_share(self, frame: Tensor) -> Tensor:
        """What the frame contributes to the first block.

        Shapes: frame (B, Cframe, H, W). Returns: (B, 2*Cout, H, W): to the first convolution, then to the shortcut.
        """
        conv1, shortcut = self.block1.conv1, self._shortcut()
        share1 = F.conv2d(torch.relu(frame), conv1.weight[:, : self.frame_channels], conv1.bias, padding=1)
        share2 = F.conv2d(frame, shortcut.weight[:, : self.frame_channels], shortcut.bias, padding=1)
        return torch.cat((share1, share2), dim=1)

    def forward(self, frame_share: Tensor, objects: Tensor) -> Tensor:
        """Shapes: frame_share (B, 2*Cout, H, W) from `frame_share`, objects (B*K, Cobject, H, W).

        Returns: (B*K, Cout, H, W).
        """
        to_conv1, to_shortcut = frame_share.chunk(2, dim=1)
        conv1, shortcut = self.block1.conv1, self._shortcut()
        inner = F.conv2d(torch.relu(objects), conv1.weight[:, self.frame_channels :], padding=1)
        inner = self.block1.conv2(torch.relu(add_to_objects(inner, to_conv1)))
        direct = F.conv2d(objects, shortcut.weight[:, self.frame_channels :], padding=1)
        fused = inner + add_to_objects(direct, to_shortcut)
        blended: Tensor = self.block2(fused + self.attention(fused))
        return blended

    def _shortcut(self) -> nn.Conv2d:
        if self.block1.downsample is None:  # only when frame + object channels happen to equal the output's
            raise ValueError("a fusion block needs input channels that differ from its output channels")
        return self.block1.downsample
