"""Convolutional adapters: the few parameters that learn while the backbone stays frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imos_engine.config import AdapterConfig


class ConvAdapter(nn.Module):
    """Bottleneck of two 3x3 convolutions beside a 3x3 convolution, weighted by a learned gate.

    Conv-Adapter (arXiv 2208.07463), the parallel scheme, with the settings of iMOS (arXiv 2309.17264, section 2.2).
    """

    def __init__(self, channels: int, *, stride: int, config: AdapterConfig) -> None:
        super().__init__()
        inner = max(channels // config.reduction, 1)
        self.conv = nn.Conv2d(channels, inner, 3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.convT = nn.ConvTranspose2d(inner, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.gate = nn.Parameter(torch.full((1,), float(config.initial_gate)))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, C, H, W). Returns: (B, C, H/stride, W/stride), to be added to the convolution's output."""
        inner = torch.relu(self.bn1(self.conv(x)))
        return torch.relu(self.bn2(self.convT(inner))) * self.gate
