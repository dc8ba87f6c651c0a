"""Optical flow as bad as it can be, so that the refiner learns when not to believe it."""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

FORGOTTEN = 0.04  # share of frames whose flow is zero: motion too fast, or a slice too far, to be found
BENT = 0.12  # share of frames whose flow is bent by a smooth random field
BEND = 0.03  # standard deviation of that field, as a share of the frame's side
COARSE = 4  # nodes of the field along each side


class Disturbance:
    """Disturbs the flow of one frame of every clip at a time; all its choices come from one generator."""

    def __init__(self, choose: random.Random) -> None:
        self._generator = torch.Generator().manual_seed(choose.getrandbits(63))

    def __call__(self, flow: Tensor) -> Tensor:
        """Shapes: flow (B, 2, H, W) in pixels, and so is what comes back."""
        clips, _, height, width = flow.shape
        chance = torch.rand(clips, 1, 1, 1, generator=self._generator)
        strength = torch.rand(clips, 1, 1, 1, generator=self._generator) * 2 * BEND * max(height, width)
        nodes = torch.randn(clips, 2, COARSE, COARSE, generator=self._generator) * strength
        bend = F.interpolate(nodes, size=(height, width), mode="bicubic", align_corners=True).to(flow.device)
        kept = (chance >= FORGOTTEN).to(flow.device)
        bent = (chance > 1 - BENT).to(flow.device)
        return flow * kept + bend * bent
