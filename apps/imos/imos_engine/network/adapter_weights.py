"""What a site has learned: adapters and parts that replace the network's own, taken from one, put into one, on disk."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from imos_engine.config import AdapterConfig
from imos_engine.network.backbone import residual_blocks
from imos_engine.network.checkpoint import CheckpointError, check_fit, read_metadata, read_tensors, write_tensors
from imos_engine.network.imos_network import ImosNetwork

ADAPTER_KEY = "imos_adapter"  # metadata entry that holds the adapters' settings as JSON
ADAPTER_MARK = ".adapter."
PARTS = ("decoder", "refiner")  # of a network, which adapters may bring along in the place of its own


@dataclass(frozen=True, kw_only=True, eq=False)
class AdapterWeights:
    """What is added to a network, its adapters, and parts that replace its own, if any: decoder, refiner."""

    config: AdapterConfig
    tensors: Mapping[str, Tensor]  # by their names in the network, float32 on the CPU

    @property
    def parts(self) -> frozenset[str]:
        """Which of PARTS come along."""
        return frozenset(part for part in PARTS if any(name.startswith(f"{part}.") for name in self.tensors))


def adapter_weights(network: ImosNetwork, *, parts: Collection[str] = ()) -> AdapterWeights:
    """A copy of the network's adapters, with those of its PARTS that were trained along, as exact as a file keeps them.

    Raises:
        ValueError: the network has no adapters.
    """
    if network.config.adapter is None:
        raise ValueError("this network has no adapters to take; attach some first")
    tensors = {}
    for name, value in network.state_dict().items():
        if _is_learned(name, parts):
            tensors[name] = _as_kept(name, value.detach().cpu()).clone()
            if value.is_floating_point():
                tensors[name] = tensors[name].float()
    return AdapterWeights(config=network.config.adapter, tensors=tensors)


def put_on(network: ImosNetwork, weights: AdapterWeights) -> None:
    """Attach adapters to a network that was built for the same settings; also the parts that they bring.

    Raises:
        CheckpointError: they are made for another network; the network then is as it was.
    """
    before = network.config, [block.adapter for block in residual_blocks(network)]
    network.attach_adapters(weights.config)
    expected = {name: value for name, value in network.state_dict().items() if _is_learned(name, weights.parts)}
    try:
        check_fit("the adapter", expected, weights.tensors)
    except CheckpointError:
        network.config, adapters = before
        for block, adapter in zip(residual_blocks(network), adapters, strict=True):
            block.adapter = adapter
        raise
    network.load_state_dict(dict(weights.tensors), strict=False)


def wearing(network: ImosNetwork, weights: AdapterWeights) -> ImosNetwork:
    """A copy of a network that wears adapters; the network itself stays as it is.

    Raises:
        CheckpointError: they are made for another network.
    """
    copy = ImosNetwork(network.config)
    copy.load_state_dict(network.state_dict())
    copy.metadata = network.metadata
    put_on(copy, weights)
    return copy


def save_adapter(path: Path, weights: AdapterWeights) -> None:
    """Write a `.safetensors` file; a reader sees the old file or the new one, never half of one."""
    kept = {name: _as_kept(name, value) for name, value in weights.tensors.items()}
    write_tensors(path, kept, {ADAPTER_KEY: json.dumps(asdict(weights.config))})


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
    tensors = {
        name: value.float() if value.is_floating_point() else value for name, value in read_tensors(path).items()
    }
    return AdapterWeights(config=config, tensors=tensors)


def _is_learned(name: str, parts: Collection[str]) -> bool:
    return ADAPTER_MARK in name or name.split(".", 1)[0] in parts


def _as_kept(name: str, value: Tensor) -> Tensor:
    """In the number format of the file: adapters exactly, parts that were only moved a little in half of the bits."""
    return value if ADAPTER_MARK in name or not value.is_floating_point() else value.half()
