"""Adapters and cards made up for tests."""

from __future__ import annotations

from collections.abc import Collection

import torch

from imos_engine.adapters import Card, LearnedCase
from imos_engine.config import AdapterConfig, NetworkConfig
from imos_engine.network.adapter_weights import AdapterWeights, adapter_weights
from tests.engine.narrow import NARROW, narrow_network, randomise_batch_norms

BASE = "a" * 64  # hash of the network that made-up versions belong to


def made_weights(*, seed: int = 0, parts: Collection[str] = (), config: NetworkConfig = NARROW) -> AdapterWeights:
    """Adapters that change what the narrow network answers, and other parts that do."""
    network = narrow_network(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.attach_adapters(AdapterConfig(initial_gate=1.0))
    random = torch.Generator().manual_seed(seed)
    for name, module in network.named_modules():
        if name.endswith(".adapter"):
            randomise_batch_norms(module, random)
    with torch.no_grad():
        if "decoder" in parts:
            network.decoder.pred.bias.add_(3.0 + seed)
        if "refiner" in parts:
            network.refiner.correction.bias.add_(3.0 + seed)
    return adapter_weights(network, parts=parts)


def made_card(name: str = "site", **changes: object) -> Card:
    values = {
        "name": name,
        "version": 0,
        "parent": None,
        "created": "2026-11-21T20:00:00Z",
        "base_sha256": BASE,
        "weights_sha256": "",
        "labels": ("liver",),
        "modalities": ("grey",),
        "cases": (LearnedCase(image_sha256="1", label_sha256="2", role="training"),),
        "metrics": {"before": 0.5, "after": 0.75},
    }
    return Card(**{**values, **changes})
