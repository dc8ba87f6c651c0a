"""Memory elements made up for tests."""

from __future__ import annotations

import torch

from imos_engine.memory.elements import Elements


def random_elements(
    count: int = 20, *, objects: int = 2, key_channels: int = 4, value_channels: int = 3, seed: int = 0
) -> Elements:
    """Elements that know every object and were read a different number of times each."""
    random = torch.Generator().manual_seed(seed)
    return Elements(
        key=torch.randn(count, key_channels, generator=random),
        shrinkage=1 + torch.rand(count, 1, generator=random),
        selection=torch.rand(count, key_channels, generator=random),
        values=torch.randn(count, objects, value_channels, generator=random),
        valid=torch.ones(count, objects, dtype=torch.bool),
        usage=torch.rand(count, generator=random),
        lifetime=torch.full((count,), 3.0),
    )
