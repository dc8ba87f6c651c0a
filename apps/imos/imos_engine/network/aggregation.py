"""Soft aggregation: independent objects become one distribution per pixel."""

from __future__ import annotations

import torch
from torch import Tensor

PROBABILITY_MARGIN = 1e-7  # keeps logits finite


def aggregate(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Weigh objects against each other and against the background that none of them claims.

    Shapes: probabilities (B, K, H, W), 0 to 1, each object on its own.
    Returns: logits and their softmax, both (B, K+1, H, W), channel 0 the background (arXiv 2207.07115, section 3.1).
    """
    # float32 whatever the network runs in: 1 - 1e-7 does not exist in half precision.
    probabilities = probabilities.float()
    background = (1 - probabilities).prod(dim=1, keepdim=True)
    everything = torch.cat((background, probabilities), dim=1).clamp(PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN)
    logits = torch.logit(everything)
    return logits, logits.softmax(dim=1)
