"""A network narrow enough for tests: the same classes, a few channels, random weights and statistics."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from imos_engine.config import AdapterConfig, Block, NetworkConfig
from imos_engine.network import ImosNetwork

NARROW = NetworkConfig(
    key_block=Block.BASIC,
    key_depths=(1, 1, 1),
    value_depths=(1, 1, 1),
    width=8,
    key_channels=8,
    value_channels=16,
    hidden_channels=4,
    decoder_channels=(16, 8, 8),
    sensory_channels=8,
)
NARROW_BOTTLENECK = replace(NARROW, key_block=Block.BOTTLENECK, key_depths=(2, 1, 1))
EVERY_KIND = [
    NARROW,
    NARROW_BOTTLENECK,
    replace(NARROW, adapter=AdapterConfig(initial_gate=0.5)),
    replace(NARROW_BOTTLENECK, adapter=AdapterConfig(initial_gate=0.5)),
]
EVERY_KIND_IDS = ["basic", "bottleneck", "basic with adapters", "bottleneck with adapters"]


def narrow_network(config: NetworkConfig = NARROW, *, seed: int = 0) -> ImosNetwork:
    """An untrained network in evaluation mode, whose batch norms do something."""
    random = torch.Generator().manual_seed(seed)
    network = ImosNetwork(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.endswith("adapter.gate"):
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
                parameter.normal_(std=fan_in**-0.5, generator=random)
        randomise_batch_norms(network, random)
        network.decoder.pred.weight.mul_(4)  # masks that are sure somewhere
    return network.eval()


def randomise_batch_norms(network: nn.Module, random: torch.Generator) -> None:
    """Give every batch norm a scale, a shift and statistics of its own."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, centre in ((norm.weight, 1.0), (norm.bias, 0.0), (norm.running_mean, 0.0)):
                tensor.data.normal_(centre, 0.2, generator=random)
            norm.running_var.uniform_(0.5, 1.5, generator=random)


def random_frames(count: int, height: int = 48, width: int = 64, *, seed: int = 0) -> torch.Tensor:
    """Normalised frames (B, 3, H, W)."""
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def random_masks(batch: int, objects: int, height: int = 48, width: int = 64, *, seed: int = 0) -> torch.Tensor:
    """Soft masks (B, K, H, W) that sum to at most 1."""
    random = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(batch, objects + 1, height, width, generator=random)
    return scores.softmax(1)[:, 1:]
