"""From a memory readout back to masks."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imos_engine.config import NetworkConfig
from imos_engine.network.fusion import FusionBlock, ObjectResidualBlock, add_to_objects
from imos_engine.network.sensory import DecoderUpdate


class Skips(NamedTuple):
    """The frame's share of the decoder: the same for every object and every memory, so computed once per frame."""

    s16: Tensor  # (B, 2*C16, H/16, W/16), for the fusion block
    s8: Tensor  # (B, C16, H/8, W/8)
    s4: Tensor  # (B, C8, H/4, W/4)


class UpsampleBlock(nn.Module):
    """Double the resolution: add the frame's skip feature to each object's, then a residual block."""

    def __init__(self, skip_channels: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip_channels, in_channels, 3, padding=1)
        self.out_conv = ObjectResidualBlock(in_channels, out_channels)

    def forward(self, skip: Tensor, objects: Tensor) -> Tensor:
        """Shapes: skip (B, Cin, 2H, 2W), already convolved; objects (B*K, Cin, H, W). Returns: (B*K, Cout, 2H, 2W)."""
        doubled = F.interpolate(objects, scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.out_conv(add_to_objects(doubled, skip))
        return out


class Decoder(nn.Module):
    """Fuse the readout with the frame, then upsample with skips to stride 4 and one logit per object."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        f4, f8, f16 = config.feature_channels
        c16, c8, c4 = config.decoder_channels
        self.fuser = FusionBlock(f16, config.value_channels + config.hidden_channels, c16)
        self.hidden_update = DecoderUpdate(config.decoder_channels, config.sensory_channels, config.hidden_channels)
        self.up_16_8 = UpsampleBlock(f8, c16, c8)
        self.up_8_4 = UpsampleBlock(f4, c8, c4)
        self.pred = nn.Conv2d(c4, 1, 3, padding=1)

    def skips(self, f16: Tensor, f8: Tensor, f4: Tensor) -> Skips:
        """Shapes: the key encoder's features (B, C, .., ..) at strides 16, 8, 4."""
        return Skips(self.fuser.frame_share(f16), self.up_16_8.skip_conv(f8), self.up_8_4.skip_conv(f4))

    def forward(self, skips: Skips, readout: Tensor, hidden: Tensor, *, update_hidden: bool) -> tuple[Tensor, Tensor]:
        """Shapes: readout (B*K, Cv, H/16, W/16), hidden (B*K, Ch, H/16, W/16).

        Returns: hidden state (updated if asked), and one logit per object at stride 4, (B*K, 1, H/4, W/4).
        """
        g16 = self.fuser(skips.s16, torch.cat((readout, hidden.to(readout.dtype)), dim=1))
        g8 = self.up_16_8(skips.s8, g16)
        g4 = self.up_8_4(skips.s4, g8)
        logit = self.pred(torch.relu(g4))
        if update_hidden:
            hidden = self.hidden_update(g16, g8, torch.cat((g4, logit), dim=1), hidden)
        return hidden, logit
