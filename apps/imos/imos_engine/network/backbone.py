"""Residual stages of both encoders, each block with room for an adapter."""

from __future__ import annotations

from torch import Tensor, nn

from imos_engine.config import AdapterConfig, Block
from imos_engine.network.adapter import ConvAdapter


class ResidualBlock(nn.Module):
    """What both kinds of block share: a shortcut, and an adapter beside one 3x3 convolution."""

    adapter: ConvAdapter | None

    def __init__(self, in_channels: int, channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.relu = nn.ReLU()
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out_channels))
        self.adapter = None

    def attach_adapter(self, config: AdapterConfig) -> None:
        """Put a fresh adapter beside this block's 3x3 convolution, in the block's mode (training or evaluation)."""
        self.adapter = ConvAdapter(self.channels, stride=self.adapted_stride, config=config).train(self.training)

    @property
    def adapted_stride(self) -> int:
        """Stride of the convolution that the adapter runs beside."""
        raise NotImplementedError

    def shortcut(self, x: Tensor) -> Tensor:
        """The block's input, projected when the block changes its shape."""
        return x if self.downsample is None else self.downsample(x)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions; the adapter runs beside the second."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__(in_channels, channels, channels, stride=stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    @property
    def adapted_stride(self) -> int:
        """The second convolution never strides."""
        return 1

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, Cin, H, W). Returns: (B, C, H/stride, W/stride)."""
        inner = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(inner))
        if self.adapter is not None:
            out = out + self.adapter(inner)
        return self.relu(out + self.shortcut(x))


class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 (which carries the stride) and 1x1 convolutions; the adapter runs beside the 3x3."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        out_channels = channels * Block.BOTTLENECK.expansion
        super().__init__(in_channels, channels, out_channels, stride=stride)
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)

    @property
    def adapted_stride(self) -> int:
        """The 3x3 convolution carries the block's stride."""
        return self.stride

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (B, Cin, H, W). Returns: (B, 4C, H/stride, W/stride)."""
        inner = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(inner)))
        if self.adapter is not None:
            out = out + self.adapter(inner)
        return self.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


def residual_stage(block: Block, in_channels: int, channels: int, depth: int, *, stride: int) -> nn.Sequential:
    """One ResNet stage of `depth` blocks; the first carries the stride."""
    kind = BottleneckBlock if block is Block.BOTTLENECK else BasicBlock
    out_channels = channels * block.expansion
    first = kind(in_channels, channels, stride=stride)
    return nn.Sequential(first, *(kind(out_channels, channels, stride=1) for _ in range(depth - 1)))


def residual_blocks(module: nn.Module) -> list[ResidualBlock]:
    """Every residual block inside `module`, in order."""
    return [child for child in module.modules() if isinstance(child, ResidualBlock)]
