"""The network as it runs at inference: same function, fewer and cheaper operations."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from imos_engine.config import Precision
from imos_engine.network.adapter import ConvAdapter
from imos_engine.network.backbone import BasicBlock, BottleneckBlock
from imos_engine.network.encoders import KeyEncoder, ValueEncoder

M = TypeVar("M", bound=nn.Module)

# Attribute pairs (convolution, batch norm that follows it) per module.
NORMALISED_CONVOLUTIONS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    KeyEncoder: (("conv1", "bn1"),),
    ValueEncoder: (("conv1", "bn1"),),
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2")),
    BottleneckBlock: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    ConvAdapter: (("conv", "bn1"), ("convT", "bn2")),
    nn.Sequential: (("0", "1"),),
}
DTYPES = {Precision.FLOAT32: torch.float32, Precision.BFLOAT16: torch.bfloat16}


def native_precision(device: torch.device) -> Precision:
    """bfloat16 where the device computes in it; float32 where it would only emulate it, many times slower."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
        supported = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return Precision.BFLOAT16 if supported else Precision.FLOAT32


def prepare_for_inference(network: M, *, precision: Precision | None, device: torch.device | str) -> M:
    """A copy with batch norms folded into convolutions, channels-last, without gradients; also of a network's part.

    `precision` None means the device's native one.
    """
    device = torch.device(device)
    precision = precision or native_precision(device)
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    for module in prepared.modules():
        _fold_batch_norms(module)
    return prepared.to(device, DTYPES[precision]).to(memory_format=torch.channels_last)


def _fold_batch_norms(module: nn.Module) -> None:
    for convolution_name, norm_name in NORMALISED_CONVOLUTIONS.get(type(module), ()):
        convolution, norm = getattr(module, convolution_name, None), getattr(module, norm_name, None)
        if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            setattr(module, convolution_name, fuse_conv_bn_eval(convolution, norm, transpose=transposed))
            setattr(module, norm_name, nn.Identity())
