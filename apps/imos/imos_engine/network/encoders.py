"""From pixels to keys (where to look) and values (what was there)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imos_engine.config import Block, NetworkConfig
from imos_engine.network.backbone import residual_stage
from imos_engine.network.fusion import FusionBlock
from imos_engine.network.sensory import DeepUpdate


class KeyEncoder(nn.Module):
    """ResNet stem and stages 1 to 3 over the image alone."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, block = config.width, config.key_block
        first, second, _ = config.feature_channels
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.res2 = residual_stage(block, width, width, config.key_depths[0], stride=1)
        self.layer2 = residual_stage(block, first, 2 * width, config.key_depths[1], stride=2)
        self.layer3 = residual_stage(block, second, 4 * width, config.key_depths[2], stride=2)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shapes: frames (B, 3, H, W). Returns: features at strides 16, 8, 4."""
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(frames))), 3, stride=2, padding=1)
        f4 = self.res2(x)
        f8 = self.layer2(f4)
        return self.layer3(f8), f8, f4


class Keys(NamedTuple):
    """What the memory is searched with and indexed by, at stride 16."""

    key: Tensor  # (B, Ck, H/16, W/16)
    shrinkage: Tensor  # (B, 1, H/16, W/16), at least 1: how sharply this pixel answers as memory
    selection: Tensor  # (B, Ck, H/16, W/16), 0 to 1: which key channels matter when this pixel asks


class KeyProjection(nn.Module):
    """Three 3x3 convolutions on the stride-16 feature (arXiv 2207.07115, section 3.2)."""

    def __init__(self, feature_channels: int, key_channels: int) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(feature_channels, key_channels, 3, padding=1)
        self.d_proj = nn.Conv2d(feature_channels, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(feature_channels, key_channels, 3, padding=1)
        nn.init.orthogonal_(self.key_proj.weight)

    def forward(self, f16: Tensor) -> Keys:
        """Shapes: f16 (B, C, H/16, W/16). Returns float32: distances between keys lose too much in half precision."""
        shrinkage = self.d_proj(f16).float() ** 2 + 1
        return Keys(self.key_proj(f16).float(), shrinkage, torch.sigmoid(self.e_proj(f16).float()))


class ValueEncoder(nn.Module):
    """ResNet over image, this object's mask and the other objects' masks, fused with the image's own feature."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, depths = config.width, config.value_depths
        self.conv1 = nn.Conv2d(5, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = residual_stage(Block.BASIC, width, width, depths[0], stride=1)
        self.layer2 = residual_stage(Block.BASIC, width, 2 * width, depths[1], stride=2)
        self.layer3 = residual_stage(Block.BASIC, 2 * width, 4 * width, depths[2], stride=2)
        self.fuser = FusionBlock(config.feature_channels[2], 4 * width, config.value_channels)
        self.hidden_reinforce = DeepUpdate(config.value_channels, config.hidden_channels)

    def forward(self, frames: Tensor, f16: Tensor, masks: Tensor) -> Tensor:
        """Shapes: frames (B, 3, H, W), f16 (B, C, H/16, W/16), masks (B, K, H, W) in 0 to 1.

        Returns: (B*K, Cv, H/16, W/16).
        """
        objects = masks.shape[1]
        others = masks.sum(1, keepdim=True) - masks
        images = frames[:, None].expand(-1, objects, -1, -1, -1)
        x = torch.cat((images, masks[:, :, None], others[:, :, None]), dim=2).flatten(0, 1)
        # Norm, max-pool, then ReLU: the order of the published stem.
        x = torch.relu(F.max_pool2d(self.bn1(self.conv1(x)), 3, stride=2, padding=1))
        x = self.layer3(self.layer2(self.layer1(x)))
        value: Tensor = self.fuser(self.fuser.frame_share(f16), x)
        return value
