"""The network that turns a marked view into the object's mask (MONAI's DynUNet), and its file of weights."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from .comparison import TissueComparison
from .view import CHANNELS, COLOURS, PREVIOUS, TISSUE

CONFIG_KEY = "imos_prompts"  # metadata entry that holds the network's settings as JSON


TWINS = "unet.skip_layers."  # MONAI lists every layer a second time below this name


class PromptWeightsError(ValueError):
    """A file of weights that the prompts cannot use; the message says why."""


@dataclass(frozen=True, kw_only=True)
class PromptNetworkConfig:
    """How large the network is."""

    view: int = 128  # pixels along each side of what it sees
    filters: tuple[int, ...] = (32, 64, 128, 192)  # channels per level; each level halves the resolution
    fold: int = 2  # squares of fold x fold pixels are folded into channels: most of the time went into the finest level
    compared: int = 16  # learned features by which pixels are compared with the marked tissue

    def __post_init__(self) -> None:
        if len(self.filters) < 3 or min(*self.filters, self.fold, self.compared) < 1:
            raise ValueError(
                "the network needs 3 levels, and a channel, a fold and a compared feature at least, "
                f"got {self.filters}, {self.fold} and {self.compared}"
            )
        step = self.fold * 2 ** (len(self.filters) - 1)
        if self.view < 16 or self.view % step:
            raise ValueError(f"view must be at least 16 pixels and a multiple of {step}, got {self.view}")


class PromptNetwork(nn.Module):
    """Views (B, CHANNELS, S, S) to logits (B, 1, S, S) of belonging to the object."""

    def __init__(self, config: PromptNetworkConfig) -> None:
        super().__init__()
        levels = len(config.filters)
        self.config = config
        self.comparison = TissueComparison(config.compared, config.fold)
        self.unet: nn.Module = _unet_class()(
            spatial_dims=2,
            in_channels=CHANNELS * config.fold**2 + config.compared,
            out_channels=config.fold**2,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(config.filters),
            norm_name="batch",  # instance norm forgets how much of the view is marked, and costs twice the time
            res_block=True,
        )

    def forward(self, views: Tensor) -> Tensor:
        """Logits of every pixel."""
        tissue = torch.maximum(views[:, TISSUE], views[:, PREVIOUS])[:, None]
        compared = self.comparison(views[:, COLOURS], tissue)
        folded = torch.cat((F.pixel_unshuffle(views, self.config.fold), compared), dim=1)
        folded = folded.contiguous(memory_format=torch.channels_last)
        return F.pixel_shuffle(self.unet(folded), self.config.fold)


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
        if not name.startswith(TWINS)
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
        missing, unknown = network.load_state_dict(
            {name: _float32(value) for name, value in state.items()}, strict=False
        )
    except RuntimeError as error:
        raise PromptWeightsError(f"{path} does not fit the network that it describes: {error}") from error
    missing = [name for name in missing if not name.startswith(TWINS)]
    if missing or unknown:
        raise PromptWeightsError(
            f"{path} does not fit the network that it describes: {len(missing)} weights are missing and "
            f"{len(unknown)} not known, the first is {[*missing, *unknown][0]}"
        )
    return network.eval()


def _unet_class() -> type[nn.Module]:
    """MONAI's DynUNet, imported when a network is built: it takes seconds, and most of the command line needs none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other networks of the same package use what torch has deprecated
        from monai.networks.nets.dynunet import DynUNet
    unet: type[nn.Module] = DynUNet
    return unet


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
        settings = dict(json.loads(metadata[CONFIG_KEY]))
    except (TypeError, ValueError) as error:
        raise PromptWeightsError(f"{path} describes no prompt network: {error}") from error
    return settings, state


def _float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
