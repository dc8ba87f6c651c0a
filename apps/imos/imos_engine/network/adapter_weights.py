"""The weights of adapters alone: taken from a network, put into one, and on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from imos_engine.config import AdapterConfig
from imos_engine.network.backbone import residual_blocks
from imos_engine.network.checkpoint import CheckpointError, check_fit, read_metadata, read_tensors, write_tensors
from imos_engine.network.imos_network import ImosNetwork

ADAPTER_KEY = "imos_adapter"  # metadata entry that holds the adapters' settings as JSON
ADAPTER_MARK, DECODER_MARK = ".adapter.", "decoder."


@dataclass(frozen=True, kw_only=True, eq=False)
class AdapterWeights:
    """What is added to a network, its adapters, and what may be put in the place of its own: the decoder."""

    config: AdapterConfig
    tensors: Mapping[str, Tensor]  # by their names in the network, float32 on the CPU

    @property
    def has_decoder(self) -> bool:
        """Whether a decoder of their own belongs to the adapters."""
        return any(name.startswith(DECODER_MARK) for name in self.tensors)

    def state_of(self, module_name: str) -> dict[str, Tensor]:
        """The tensors of the module with this dotted name, by their names in it."""
        prefix = f"{module_name}."
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


def adapter_weights(network: ImosNetwork, *, decoder: bool = False) -> AdapterWeights:
    """A copy of the network's adapters, with its decoder if that was trained along.

    Raises:
        ValueError: the network has no adapters.
    """
    if network.config.adapter is None:
        raise ValueError("this network has no adapters to take; attach some first")
    tensors = {
        name: value.detach().float().cpu().clone() if value.is_floating_point() else value.cpu().clone()
        for name, value in network.state_dict().items()
        if ADAPTER_MARK in name or (decoder and name.startswith(DECODER_MARK))
    }
    return AdapterWeights(config=network.config.adapter, tensors=tensors)


def put_on(network: ImosNetwork, weights: AdapterWeights) -> None:
    """Attach adapters to a network that was built for the same settings; also the decoder they bring.

    Raises:
        CheckpointError: they are made for another network; the network then is as it was.
    """
    before = network.config, [block.adapter for block in residual_blocks(network)]
    network.attach_adapters(weights.config)
    expected = {
        name: value
        for name, value in network.state_dict().items()
        if ADAPTER_MARK in name or (weights.has_decoder and name.startswith(DECODER_MARK))
    }
    try:
        check_fit("the adapter", expected, weights.tensors)
    except CheckpointError:
        network.config, adapters = before
        for block, adapter in zip(residual_blocks(network), adapters, strict=True):
            block.adapter = adapter
        raise
    network.load_state_dict(dict(weights.tensors), strict=False)


def save_adapter(path: Path, weights: AdapterWeights) -> None:
    """Write a `.safetensors` file; a reader sees the old file or the new one, never half of one."""
    write_tensors(path, weights.tensors, {ADAPTER_KEY: json.dumps(asdict(weights.config))})


def load_adapter(path: Path) -> AdapterWeights:
    """Read a file that `save_adapter` wrote.

    Raises:
        CheckpointError: there is none, it cannot be read, or it holds something else.
    """
    if not path.is_file():
        raise CheckpointError(f"no file of adapter weights at {path}")
    described = read_metadata(path).get(ADAPTER_KEY)
    if described is None:
        raise CheckpointError(f"{path} holds no adapter (no {ADAPTER_KEY!r} in its header)")
    try:
        config = AdapterConfig(**json.loads(described))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} describes no adapter that this version can build: {error}") from error
    return AdapterWeights(config=config, tensors=read_tensors(path))
