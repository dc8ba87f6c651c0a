"""The whole network: frames to keys, masks to values, readouts to masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imos_engine.config import AdapterConfig, NetworkConfig, RefinerConfig
from imos_engine.network.aggregation import aggregate
from imos_engine.network.backbone import residual_blocks
from imos_engine.network.decoder import Decoder, Skips
from imos_engine.network.encoders import KeyEncoder, KeyProjection, Keys, ValueEncoder
from imos_engine.network.fusion import fold_objects, unfold_objects
from imos_engine.network.likeness import Likeness
from imos_engine.network.refiner import MovedMasks, Refiner

STRIDE = 16  # frame pixels per key pixel, along each side


@dataclass(frozen=True, kw_only=True)
class FrameFeatures:
    """All that the network knows of frames before any mask; indexing selects along the batch."""

    keys: Keys
    f16: Tensor  # (B, C16, H/16, W/16)
    skips: Skips

    @property
    def key(self) -> Tensor:
        """(B, Ck, H/16, W/16)."""
        return self.keys.key

    @property
    def shrinkage(self) -> Tensor:
        """(B, 1, H/16, W/16)."""
        return self.keys.shrinkage

    @property
    def selection(self) -> Tensor:
        """(B, Ck, H/16, W/16)."""
        return self.keys.selection

    def __getitem__(self, batch: slice) -> FrameFeatures:
        """The same features of the frames in `batch`."""
        keys = Keys(*(part[batch] for part in self.keys))
        return FrameFeatures(keys=keys, f16=self.f16[batch], skips=Skips(*(part[batch] for part in self.skips)))

    def copy(self) -> FrameFeatures:
        """The same in memory of their own; features selected from a batch keep the whole batch allocated."""
        keys, skips = Keys(*(part.clone() for part in self.keys)), Skips(*(part.clone() for part in self.skips))
        return FrameFeatures(keys=keys, f16=self.f16.clone(), skips=skips)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor held, for counting bytes and moving devices."""
        return (*self.keys, self.f16, *self.skips)


class ImosNetwork(nn.Module):
    """XMem's network (arXiv 2207.07115) with room for iMOS's adapters (arXiv 2309.17264).

    The names of its parts are the published checkpoint's.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = replace(config, adapter=None)
        self.metadata: dict[str, str] = {}  # further text that came with the weights
        self.key_encoder = KeyEncoder(config)
        self.value_encoder = ValueEncoder(config)
        self.key_proj = KeyProjection(config.feature_channels[2], config.key_channels)
        self.decoder = Decoder(config)
        self.refiner = None if config.refiner is None else Refiner(config.refiner)
        if config.adapter is not None:
            self.attach_adapters(config.adapter)

    def attach_adapters(self, adapter: AdapterConfig) -> None:
        """Put a fresh adapter into every residual block of both encoders."""
        for block in residual_blocks(self):
            block.attach_adapter(adapter)
        self.config = replace(self.config, adapter=adapter)
        self.to(next(self.parameters()).device)

    def detach_adapters(self) -> None:
        """Remove all adapters; the backbone stays as it is."""
        for block in residual_blocks(self):
            block.adapter = None
        self.config = replace(self.config, adapter=None)

    def attach_refiner(self, refiner: RefinerConfig) -> None:
        """Put an untrained refiner behind the decoder."""
        parameter = next(self.parameters())
        self.refiner = Refiner(refiner).to(parameter.device, parameter.dtype)
        self.config = replace(self.config, refiner=refiner)

    def initial_hidden(self, batch: int, objects: int, height: int, width: int) -> Tensor:
        """Sensory memory before the first frame: zeros (B, K, Ch, height, width), at stride 16, in float32."""
        shape = (batch, objects, self.config.hidden_channels, height, width)
        return torch.zeros(shape, device=next(self.parameters()).device)

    def encode_frames(self, frames: Tensor) -> FrameFeatures:
        """Everything that depends on the frames alone.

        Shapes: frames (B, 3, H, W), normalised; H and W multiples of 16.
        """
        f16, f8, f4 = self.key_encoder(frames)
        return FrameFeatures(keys=self.key_proj(f16), f16=f16, skips=self.decoder.skips(f16, f8, f4))

    def encode_values(
        self, frames: Tensor, f16: Tensor, masks: Tensor, hidden: Tensor, *, deep_update: bool
    ) -> tuple[Tensor, Tensor]:
        """What the masks mean in these frames, to be written into memory.

        Shapes: frames (B, 3, H, W), f16 (B, C16, H/16, W/16), masks (B, K, H, W) in 0 to 1,
        hidden (B, K, Ch, H/16, W/16).
        Returns: values (B, K, Cv, H/16, W/16) and the hidden state, updated if `deep_update`.
        """
        objects = masks.shape[1]
        value = self.value_encoder(frames, f16, masks)
        if deep_update:
            updated = self.value_encoder.hidden_reinforce(value, fold_objects(hidden))
            hidden = unfold_objects(updated, objects)
        return unfold_objects(value, objects), hidden

    def decode(
        self, features: FrameFeatures, readout: Tensor, hidden: Tensor, *, update_hidden: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks of all objects from what the memory answered.

        Shapes: readout (B, K, Cv, H/16, W/16), hidden (B, K, Ch, H/16, W/16).
        Returns: hidden state, aggregated logits and probabilities (B, K+1, H, W) with the background in channel 0.
        """
        objects = readout.shape[1]
        folded, logit = self.decoder(
            features.skips, fold_objects(readout), fold_objects(hidden), update_hidden=update_hidden
        )
        logit = F.interpolate(logit.float(), scale_factor=4, mode="bilinear", align_corners=False)
        logits, probabilities = aggregate(torch.sigmoid(unfold_objects(logit, objects)[:, :, 0]))
        return unfold_objects(folded, objects), logits, probabilities

    def refine(
        self, frames: Tensor, coarse: Tensor, moved: MovedMasks, likeness: Likeness
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sharper masks from what `decode` gave, what neighbouring frames say and what the seeds look like.

        Shapes: frames (B, 3, H, W), coarse (B, K, H, W) logits of the objects.
        Returns: aggregated logits and probabilities (B, K+1, H, W), and the logit of each object's presence (B, K).
        """
        if self.refiner is None:
            raise ValueError("this network has no refiner; ask `network.refiner` before calling refine")
        refined = self.refiner(frames, coarse, moved, likeness)
        logits, probabilities = aggregate(torch.sigmoid(refined.logits))
        return logits, probabilities, refined.presence
