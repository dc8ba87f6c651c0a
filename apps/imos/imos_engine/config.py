"""Settings of the method, as frozen values that cannot be invalid."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Block(Enum):
    """Residual block of a ResNet stage."""

    BASIC = "basic"  # two 3x3 convolutions
    BOTTLENECK = "bottleneck"  # 1x1, 3x3, 1x1, output four times as wide

    @property
    def expansion(self) -> int:
        """Output channels over inner channels."""
        return 4 if self is Block.BOTTLENECK else 1


class Precision(Enum):
    """Number format in which the network runs at inference."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Convolutional adapter beside every 3x3 convolution of both encoders (arXiv 2208.07463, Conv. Parallel)."""

    reduction: int = 4  # channels of the convolution over channels of the adapter's bottleneck
    initial_gate: float = 0.02  # weight of a fresh adapter's output; 0 leaves the backbone unchanged

    def __post_init__(self) -> None:
        """Refuse an adapter without channels."""
        _require(self.reduction >= 1, f"adapter reduction must be at least 1, got {self.reduction}")


@dataclass(frozen=True, kw_only=True)
class RefinerConfig:
    """Widths of the refiner, which sharpens masks with the help of optical flow (docs/decisions/0006)."""

    channels: tuple[int, ...] = (32, 48, 96, 128)  # at strides 2, 4, 8, 16

    def __post_init__(self) -> None:
        """Refuse widths that group normalisation cannot divide, and strides that frames do not have."""
        _require(1 <= len(self.channels) <= 4, f"a refiner has 1 to 4 levels, got channels={self.channels}")
        _require(
            all(width >= 8 and width % 8 == 0 for width in self.channels),
            f"refiner channels must be multiples of 8, got {self.channels}",
        )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Widths and depths of the network; a checkpoint carries them beside its weights."""

    key_block: Block = Block.BOTTLENECK
    key_depths: tuple[int, int, int] = (3, 4, 6)  # residual blocks in stages 1 to 3 of the key encoder
    value_depths: tuple[int, int, int] = (2, 2, 2)  # basic blocks in stages 1 to 3 of the value encoder
    width: int = 64  # channels of the first stage of both encoders; doubles per stage
    key_channels: int = 64
    value_channels: int = 512
    hidden_channels: int = 64  # sensory memory
    decoder_channels: tuple[int, int, int] = (512, 256, 256)  # at strides 16, 8, 4
    sensory_channels: int = 256  # common width in which the decoder's three strides update the sensory memory
    adapter: AdapterConfig | None = None
    refiner: RefinerConfig | None = None

    def __post_init__(self) -> None:
        """Refuse widths that the attention gates cannot reduce."""
        narrowest = min(
            self.width, self.key_channels, self.hidden_channels, self.sensory_channels, *self.decoder_channels
        )
        _require(narrowest >= 1, f"every width must be at least 1 channel, got {narrowest}")
        gated = min(self.value_channels, self.decoder_channels[0])
        _require(gated >= 16, f"value_channels and decoder_channels[0] must be at least 16 channels, got {gated}")

    @property
    def feature_channels(self) -> tuple[int, int, int]:
        """Channels of the key encoder's features at strides 4, 8, 16."""
        first = self.width * self.key_block.expansion
        return first, 2 * first, 4 * first

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` inverts it."""
        return asdict(self) | {"key_block": self.key_block.value}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> NetworkConfig:
        """Rebuild a configuration written by `to_dict`."""
        adapter, refiner = values.get("adapter"), values.get("refiner")
        tuples = {name: tuple(values[name]) for name in ("key_depths", "value_depths", "decoder_channels")}
        return NetworkConfig(
            **values
            | tuples
            | {
                "key_block": Block(values["key_block"]),
                "adapter": None if adapter is None else AdapterConfig(**adapter),
                "refiner": None if refiner is None else RefinerConfig(channels=tuple(refiner["channels"])),
            }
        )


PRESETS: dict[str, NetworkConfig] = {
    # Exactly the published XMem network (arXiv 2207.07115): 62.2 M parameters.
    "xmem": NetworkConfig(),
    # The same classes, narrower, for CPUs, and a refiner.
    "small": NetworkConfig(
        key_block=Block.BASIC,
        key_depths=(2, 2, 2),
        key_channels=64,
        value_channels=128,
        hidden_channels=32,
        decoder_channels=(192, 96, 64),
        sensory_channels=64,
        refiner=RefinerConfig(),
    ),
}


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """How much of the past the propagator keeps (arXiv 2207.07115, section 3.3)."""

    write_every: int = 5  # frames between two memory writes
    max_working_frames: int = 10  # working memory is consolidated when it reaches this many frames
    min_working_frames: int = 5  # frames that consolidation leaves in working memory
    prototypes: int = 128  # long-term elements that one consolidation makes
    max_long_term: int = 10_000  # elements of long-term memory; 0 switches it off: old frames are forgotten
    read_top_k: int | None = 30  # memory pixels each query pixel reads; None reads all

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other."""
        _require(self.write_every >= 1, f"write_every must be at least 1 frame, got {self.write_every}")
        _require(
            2 <= self.min_working_frames < self.max_working_frames,
            "working memory needs 2 <= min_working_frames < max_working_frames, got "
            f"{self.min_working_frames} and {self.max_working_frames}",
        )
        _require(self.prototypes >= 1, f"prototypes must be at least 1 element, got {self.prototypes}")
        _require(
            self.max_long_term == 0 or self.max_long_term >= self.prototypes,
            f"max_long_term must be 0 or hold one set of {self.prototypes} prototypes, got {self.max_long_term}",
        )
        _require(
            self.read_top_k is None or self.read_top_k >= 1,
            f"read_top_k must be None or at least 1, got {self.read_top_k}",
        )


NEIGHBOURS = (1, 2, 4)  # frames back; what the refiner is trained with


@dataclass(frozen=True, kw_only=True)
class PropagationConfig:
    """How frames are carried through the network."""

    size: int | None = 192  # side of the square with the resized window's area, in pixels; None keeps the window's size
    window: float | None = 2.5  # side of the window around objects over their extent; None is always the whole frame
    presence_threshold: float | None = None  # an object less likely present is not shown; None is the weights' choice
    neighbours: tuple[int, ...] = NEIGHBOURS  # how many frames back the masks are that are moved along the flow
    encode_batch: int = 4  # frames encoded in one call
    precision: Precision | None = None  # None is bfloat16 where the device computes in it, else float32
    end_after: int | None = 3  # frames without any object after which a direction ends; None never ends early
    preload_seeds: bool = True  # every seed is in memory from the first frame on; False: from its own frame on
    min_pixels: int = 1  # an object with fewer pixels than this, at the internal size, is absent
    feature_cache_bytes: int = 1 << 30  # budget for encoded frames kept for the next request; as much again for flow

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be encoded."""
        _require(self.size is None or self.size >= 32, f"size must be None or at least 32 pixels, got {self.size}")
        _require(self.window is None or self.window >= 1.2, f"window must be None or at least 1.2, got {self.window}")
        _require(
            self.presence_threshold is None or 0 <= self.presence_threshold <= 1,
            f"presence_threshold must be None or lie in 0 to 1, got {self.presence_threshold}",
        )
        _require(
            1 in self.neighbours and all(1 <= back <= 8 for back in self.neighbours),
            f"neighbours must be 1 and others up to 8 frames back, got {self.neighbours}",
        )
        _require(self.encode_batch >= 1, f"encode_batch must be at least 1 frame, got {self.encode_batch}")
        _require(
            self.end_after is None or self.end_after >= 1,
            f"end_after must be None or at least 1 frame, got {self.end_after}",
        )
        _require(self.min_pixels >= 1, f"min_pixels must be at least 1, got {self.min_pixels}")
        _require(
            self.feature_cache_bytes >= 0, f"feature_cache_bytes must be at least 0, got {self.feature_cache_bytes}"
        )
