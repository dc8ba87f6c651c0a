"""The network that turns a marked view into the object's mask (MONAI's DynUNet), and its file of weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets.dynunet import DynUNet
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .view import CHANNELS

CONFIG_KEY = "imos_prompts"  # metadata entry that holds the network's settings as JSON


class PromptWeightsError(ValueError):
    """A file of weights that the prompts cannot use; the message says why."""


@dataclass(frozen=True, kw_only=True)
class PromptNetworkConfig:
    """How large the network is."""

    view: int = 128  # pixels along each side of what it sees
    filters: tuple[int, ...] = (16, 32, 64, 128, 192)  # channels per level; each level halves the resolution

    def __post_init__(self) -> None:
        if len(self.filters) < 3 or min(self.filters) < 1:
            raise ValueError(f"filters needs at least 3 levels of at least 1 channel, got {self.filters}")
        if self.view < 16 or self.view % 2 ** (len(self.filters) - 1):
            raise ValueError(
                f"view must be at least 16 pixels and a multiple of {2 ** (len(self.filters) - 1)}, got {self.view}"
            )


class PromptNetwork(nn.Module):
    """Views (B, CHANNELS, S, S) to logits (B, 1, S, S) of belonging to the object."""

    def __init__(self, config: PromptNetworkConfig) -> None:
        super().__init__()
        levels = len(config.filters)
        self.config = config
        self.unet = DynUNet(
            spatial_dims=2,
            in_channels=CHANNELS,
            out_channels=1,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(config.filters),
            norm_name="batch",  # instance norm forgets how much of the view is marked, and costs twice the time
            res_block=True,
        )

    def forward(self, views: Tensor) -> Tensor:
        """Logits of every pixel."""
        logits: Tensor = self.unet(views)
        return logits


def save_prompt_network(
    path: str | Path,
    network: PromptNetwork,
    *,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write weights and settings; a reader sees the old file or the new one, never half of one."""
    path = Path(path)
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    header = {**(metadata or {}), CONFIG_KEY: json.dumps(asdict(network.config))}
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, beside, metadata=header)
        beside.chmod(0o644)  # safetensors keeps files to their owner; a server may run as somebody else
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_prompt_network(path: str | Path) -> PromptNetwork:
    """Build the network that a file describes, in evaluation mode, in float32, on the CPU.

    Raises:
        PromptWeightsError: the file is absent, unreadable, or its weights do not fit the network.
    """
    path = Path(path)
    if not path.is_file():
        raise PromptWeightsError(f"no file of prompt weights at {path}; give the path of a .safetensors file")
    settings, state = _read(path)
    try:
        network = PromptNetwork(PromptNetworkConfig(**settings | {"filters": tuple(settings["filters"])}))
    except (KeyError, TypeError, ValueError) as error:
        raise PromptWeightsError(f"{path} describes no prompt network that this version can build: {error}") from error
    try:
        network.load_state_dict({name: _float32(value) for name, value in state.items()})
    except RuntimeError as error:
        raise PromptWeightsError(f"{path} does not fit the network that it describes: {error}") from error
    return network.eval()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError) as error:
        raise PromptWeightsError(f"{path} cannot be read as .safetensors: {error}") from error
    if CONFIG_KEY not in metadata:
        raise PromptWeightsError(f"{path} holds no weights for prompts (no {CONFIG_KEY!r} in its header)")
    try:
        settings = json.loads(metadata[CONFIG_KEY])
    except ValueError as error:
        raise PromptWeightsError(f"{path} describes no prompt network: {error}") from error
    return dict(settings), state


def _float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
