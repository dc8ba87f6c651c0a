"""One clip through the network, with gradients: the figure of the method."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from imos_engine.memory.attention import affinity, read_memory, similarity
from imos_engine.network import FrameFeatures, ImosNetwork

from .losses import segmentation_loss, without_padding


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """Which earlier frames every frame reads, and which frames get a deep sensory update. Frame 0 is the seed."""

    references: Sequence[Sequence[int]]  # per frame, ascending; empty for frame 0
    deep_updates: frozenset[int] = frozenset()

    @property
    def memory_frames(self) -> frozenset[int]:
        """Frames whose values somebody reads or whose deep update is due."""
        last = len(self.references) - 1
        return frozenset(i for read in self.references for i in read) | (self.deep_updates - {last})


def random_plan(frames: int, reference_frames: int, deep_update_probability: float, choose: random.Random) -> ClipPlan:
    """The seed and random earlier frames, at most `reference_frames` in all."""
    references: list[list[int]] = [[]]
    for index in range(1, frames):
        others = choose.sample(range(1, index), min(reference_frames - 1, index - 1))
        references.append([0, *sorted(others)])
    deep = (index for index in range(1, frames) if choose.random() < deep_update_probability)
    return ClipPlan(references=references, deep_updates=frozenset(deep))


def regular_plan(frames: int, write_every: int) -> ClipPlan:
    """What propagation does: every `write_every`-th frame is memory, is read by all later ones, and updates deeply."""
    references = [list(range(0, index, write_every)) for index in range(frames)]
    return ClipPlan(references=references, deep_updates=frozenset(range(write_every, frames, write_every)))


def follow_clip(
    network: ImosNetwork, frames: Tensor, seed: Tensor, valid: Tensor, plan: ClipPlan, *, top_k: int | None
) -> list[Tensor]:
    """Carry the objects of frame 0 through the clip.

    Shapes: frames (B, T, 3, H, W) normalised; seed (B, K, H, W), 0 or 1; valid (B, K), False for padding.
    Returns: for frames 1..T-1 the logits (B, K+1, H, W) of background and objects; padded channels are -inf.
    """
    batch, length = frames.shape[:2]
    # Time first, so that one frame of all clips is one slice of the features.
    features = network.encode_frames(frames.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last))
    at = [features[index * batch : (index + 1) * batch] for index in range(length)]
    hidden = network.initial_hidden(batch, seed.shape[1], *at[0].key.shape[-2:])
    value, hidden = network.encode_values(frames[:, 0], at[0].f16, seed, hidden, deep_update=True)
    values = {0: value}
    predictions = []
    for index in range(1, length):
        deep = index in plan.deep_updates
        read = plan.references[index]
        readout = _read([at[i] for i in read], [values[i] for i in read], at[index], top_k=top_k)
        hidden, logits, _ = network.decode(at[index], readout, hidden, update_hidden=not deep and index < length - 1)
        predictions.append(without_padding(logits.float(), valid))
        if index in plan.memory_frames:
            masks, f16 = predictions[-1].softmax(dim=1)[:, 1:], at[index].f16
            values[index], hidden = network.encode_values(frames[:, index], f16, masks, hidden, deep_update=deep)
    return predictions


def clip_loss(
    network: ImosNetwork,
    frames: Tensor,
    masks: Tensor,
    valid: Tensor,
    plan: ClipPlan,
    *,
    top_k: int | None,
    hardest: float = 1.0,
) -> tuple[Tensor, list[Tensor]]:
    """Mean loss of frames 1..T-1, and their logits (see `follow_clip`); masks (B, T, K, H, W), 0 or 1."""
    predictions = follow_clip(network, frames, masks[:, 0], valid, plan, top_k=top_k)
    losses = [
        segmentation_loss(logits, masks[:, index], valid, hardest=hardest)
        for index, logits in enumerate(predictions, start=1)
    ]
    return torch.stack(losses).mean(), predictions


def _read(memory: list[FrameFeatures], values: list[Tensor], query: FrameFeatures, *, top_k: int | None) -> Tensor:
    """Blend the memory frames' values at every pixel of the query frame: (B, K, Cv, h, w)."""
    height, width = query.key.shape[-2:]
    # float32: bf16 has 8 bits, and similarities of a hundred then differ by half a unit or not at all.
    with torch.autocast(query.key.device.type, enabled=False):
        key = torch.cat([item.key.flatten(2) for item in memory], dim=2).float()
        shrinkage = torch.cat([item.shrinkage.flatten(2) for item in memory], dim=2).float()
        scores = similarity(key, shrinkage, query.key.flatten(2).float(), query.selection.flatten(2).float())
        weights = affinity(scores, top_k=top_k)
        return read_memory(weights, torch.cat([value.flatten(3) for value in values], dim=3).float()).unflatten(
            3, (height, width)
        )
