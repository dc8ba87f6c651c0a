"""How unlike the marked tissue every pixel is, by features that the network learns: texture as well as brightness."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST_SPREAD = 0.1  # of a feature within the tissue, in units of the feature
TYPICAL = 3.0  # spreads at which a difference begins to saturate


class TissueComparison(nn.Module):
    """Features of the picture, each as its distance from the mean over the tissue, in spreads of the tissue.

    A convolution sees its neighbourhood only; this is how a mark tells pixels far away what it stands for.
    """

    def __init__(self, features: int, fold: int) -> None:
        """Learn `features` of a picture whose squares of `fold` x `fold` pixels are one pixel of the answer."""
        super().__init__()
        self._fold = fold
        self.features = nn.Sequential(
            nn.Conv2d(3 * fold**2, features, 3, padding=1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(),
            nn.Conv2d(features, features, 3, padding=2, dilation=2, bias=False),
            nn.BatchNorm2d(features),
        )

    def forward(self, picture: Tensor, tissue: Tensor) -> Tensor:
        """Shapes: picture (B, 3, S, S); tissue (B, 1, S, S), 0 to 1. Returns: (B, C, S/fold, S/fold), -1 to 1."""
        found = self.features(F.pixel_unshuffle(picture, self._fold)).float()
        weight = F.avg_pool2d(tissue, self._fold).float()
        total = weight.sum((2, 3), keepdim=True).clamp(min=1e-3)
        mean = (found * weight).sum((2, 3), keepdim=True) / total
        variance = ((found - mean) ** 2 * weight).sum((2, 3), keepdim=True) / total
        return torch.tanh((found - mean) / (TYPICAL * (variance.sqrt() + LEAST_SPREAD)))
