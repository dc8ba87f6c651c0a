"""Sensory memory: one hidden state per object, updated like a gated recurrent unit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gated_update(gates: Tensor, hidden: Tensor) -> Tensor:
    """New state = forget * hidden * (1 - update) + update * new (arXiv 2207.07115, section 3.4).

    Shapes: gates (B, 3*Ch, H, W), in the order forget, update, new, before their nonlinearities; hidden (B, Ch, H, W).
    Returns: (B, Ch, H, W).
    """
    # Sums over hundreds of frames drift in half precision; the state itself stays in its own.
    forget, update, new = gates.to(hidden.dtype).chunk(3, dim=1)
    update = torch.sigmoid(update)
    return torch.sigmoid(forget) * hidden * (1 - update) + update * torch.tanh(new)


class DeepUpdate(nn.Module):
    """Update of the sensory memory from the value encoder's feature, run with memory frames."""

    def __init__(self, value_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(value_channels + hidden_channels, 3 * hidden_channels, 3, padding=1)

    def forward(self, value: Tensor, hidden: Tensor) -> Tensor:
        """Shapes: value (B*K, Cv, H, W), hidden (B*K, Ch, H, W). Returns: the new hidden state."""
        return gated_update(self.transform(torch.cat((value, hidden.to(value.dtype)), dim=1)), hidden)


class DecoderUpdate(nn.Module):
    """Update of the sensory memory from the decoder's features at three strides, run with every frame."""

    def __init__(self, decoder_channels: tuple[int, int, int], sensory_channels: int, hidden_channels: int) -> None:
        super().__init__()
        stride16, stride8, stride4 = decoder_channels
        self.g16_conv = nn.Conv2d(stride16, sensory_channels, 1)
        self.g8_conv = nn.Conv2d(stride8, sensory_channels, 1)
        self.g4_conv = nn.Conv2d(stride4 + 1, sensory_channels, 1)
        self.transform = nn.Conv2d(sensory_channels + hidden_channels, 3 * hidden_channels, 3, padding=1)

    def forward(self, g16: Tensor, g8: Tensor, g4: Tensor, hidden: Tensor) -> Tensor:
        """Shapes: g16, g8, g4 (B*K, C, .., ..) at strides 16, 8, 4; hidden and the result (B*K, Ch, H/16, W/16)."""
        # Averaging commutes with 1x1 convolution: average first, on fewer pixels.
        summed = self.g16_conv(g16) + self.g8_conv(F.avg_pool2d(g8, 2)) + self.g4_conv(F.avg_pool2d(g4, 4))
        return gated_update(self.transform(torch.cat((summed, hidden.to(summed.dtype)), dim=1)), hidden)
