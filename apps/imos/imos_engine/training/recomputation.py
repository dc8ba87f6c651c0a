"""Gradient checkpointing: less memory for more time, by computing again what gradients need instead of keeping it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from imos_engine.network import ImosNetwork
from imos_engine.network.backbone import residual_blocks


@contextmanager
def recomputed(network: ImosNetwork, *, enabled: bool = True) -> Iterator[None]:
    """Within the block, forward passes keep what enters a part of the network, not what happens inside it.

    The gradients are the same. Parts are blocks that see all frames of a clip at once, and what runs frame by frame.
    """
    parts: list[nn.Module] = []
    if enabled:
        parts = [*residual_blocks(network.key_encoder), network.value_encoder, network.decoder]
        parts += [] if network.refiner is None else [network.refiner]
    try:
        for part in parts:
            part.forward = _recomputing(part)
        yield
    finally:
        for part in parts:
            part.__dict__.pop("forward", None)  # its class's shows again


def _recomputing(part: nn.Module) -> Callable[..., Any]:
    forward = part.forward
    norms = [module for module in part.modules() if isinstance(module, _BatchNorm)]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_left_alone(norms)

    def run(*arguments: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*arguments, **options)
        # Nothing in the network is random, so that the generators' states need not be kept.
        return checkpoint(
            forward, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=contexts, **options
        )

    return run


@contextmanager
def _statistics_left_alone(norms: list[_BatchNorm]) -> Iterator[None]:
    """The second pass normalises as the first did, and is no second sample of the running statistics."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
