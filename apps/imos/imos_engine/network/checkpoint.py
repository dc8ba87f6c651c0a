"""Weights on disk: `.safetensors` with the network's settings inside, and the published `.pth` files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imos_engine.config import PRESETS, AdapterConfig, NetworkConfig
from imos_engine.network.imos_network import ImosNetwork

CONFIG_KEY = "imos_network"  # metadata entry that holds the network's settings as JSON
LISTED_KEYS = 5  # how many keys an error names before it counts the rest


class CheckpointError(ValueError):
    """A file of weights that cannot be used; the message says why."""


def save_network(
    path: str | Path,
    network: ImosNetwork,
    *,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write weights and settings; a reader sees the old file or the new one, never half of one.

    Args:
        path: where to write; the name should end in `.safetensors`.
        network: what to write.
        metadata: further text to keep in the file's header, such as how the weights were trained.
        dtype: number format of floating-point weights on disk.
    """
    path = Path(path)
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    write_tensors(path, tensors, {**(metadata or {}), CONFIG_KEY: json.dumps(network.config.to_dict())})


def add_metadata(path: str | Path, entries: Mapping[str, str], *, output: str | Path | None = None) -> None:
    """Write a `.safetensors` file again with more text in its header, into `output` or in its own place.

    Weights stay bit for bit; an entry of the same name is replaced.
    """
    metadata = read_metadata(path)
    write_tensors(Path(output or path), read_tensors(Path(path)), {**metadata, **entries})


def load_network(path: str | Path, *, device: torch.device | str = "cpu") -> ImosNetwork:
    """Build the network that a file describes, in evaluation mode, in float32.

    Args:
        path: `.safetensors` written by `save_network`, or a published XMem or iMOS checkpoint (`.pth`), which is read
            without running any code it may carry.
        device: where the network goes.

    Raises:
        CheckpointError: the file is absent, unreadable, or its weights do not fit the network; the message lists keys.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no file of weights at {path}; give the path of a .safetensors or .pth file")
    config, state = _read_published(path) if path.suffix == ".pth" else _read_safetensors(path)
    network = ImosNetwork(config)
    check_fit(path, network.state_dict(), state)
    network.load_state_dict(state)
    if path.suffix != ".pth":
        network.metadata = {name: text for name, text in read_metadata(path).items() if name != CONFIG_KEY}
    return network.to(device).eval()


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text in a `.safetensors` header, the network's settings included."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as .safetensors: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write a `.safetensors` file beside, then rename it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(dict(tensors), beside, metadata=dict(header))
        beside.chmod(0o644)  # safetensors keeps files to their owner; a server may run as somebody else
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a `.safetensors` file, on the CPU."""
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)


def _read_safetensors(path: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    metadata = read_metadata(path)
    if CONFIG_KEY not in metadata:
        raise CheckpointError(f"{path} does not say which network it is for (no {CONFIG_KEY!r} in its header)")
    try:
        config = NetworkConfig.from_dict(json.loads(metadata[CONFIG_KEY]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} describes no network that this version can build: {error}") from error
    state = read_tensors(path)
    return config, {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _read_published(path: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a foreign file makes it raise
        raise CheckpointError(f"{path} cannot be read as a file of weights only: {error}") from error
    if isinstance(state, Mapping) and isinstance(state.get("network"), Mapping):  # a training checkpoint
        state = state["network"]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{path} holds no dictionary of tensors; expected a published XMem or iMOS checkpoint")
    has_adapters = any(".adapter." in name for name in state)
    return NetworkConfig.from_dict(
        PRESETS["xmem"].to_dict() | {"adapter": AdapterConfig().__dict__ if has_adapters else None}
    ), dict(state)


def check_fit(source: object, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not exactly those expected, by name and shape.

    Raises:
        CheckpointError: saying of which `source`, and listing names.
    """
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    reshaped = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & found.keys())
        if found[name].shape != expected[name].shape
    ]
    problems = {"missing": missing, "not known": unexpected, "of another shape": reshaped}
    if any(problems.values()):
        described = "; ".join(f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in problems.items() if keys)
        raise CheckpointError(f"{source} does not fit the network: {described}")


def _some(keys: list[str]) -> str:
    rest = len(keys) - LISTED_KEYS
    return ", ".join(keys[:LISTED_KEYS]) + (f" and {rest} more" if rest > 0 else "")
