"""One clip through the network, with gradients: the figure of the method."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from imos_engine.config import NEIGHBOURS
from imos_engine.memory.attention import affinity, read_memory, similarity
from imos_engine.network import FrameFeatures, ImosNetwork
from imos_engine.network.likeness import Likeness, filter_bank, fit_likeness, seed_moments
from imos_engine.network.refiner import Neighbour, moved_masks
from imos_engine.training.clips import Batch
from imos_engine.training.losses import kept_loss, presence_loss, segmentation_loss, without_padding

NOWHERE = -20.0  # logit of an object that only pads the batch
PRESENCE_WEIGHT = 0.2  # of the presence's loss beside the masks'
KEPT_WEIGHT = 10.0  # of an answer that is to stay: most of its pixels are sure, and their mean is small


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


class Followed(NamedTuple):
    """A clip after its seed: one entry per frame 1..T-1."""

    logits: list[Tensor]  # (B, K+1, H, W) of background and objects; padded channels are -inf
    presence: list[Tensor]  # (B, K) logits of the object being in the frame; empty without a refiner


@dataclass(frozen=True, kw_only=True)
class ClipConditions:
    """How a clip is followed."""

    plan: ClipPlan
    top_k: int | None  # memory pixels each query pixel reads; None reads all
    disturbance: Callable[[Tensor], Tensor] = lambda flow: flow  # what training does to the flow of a frame


def follow_clip(network: ImosNetwork, batch: Batch, conditions: ClipConditions) -> Followed:
    """Carry the objects of frame 0 through the clip."""
    memory_learns = any(
        parameter.requires_grad for name, parameter in network.named_parameters() if not name.startswith("refiner.")
    )
    frames, valid, plan = batch.frames, batch.valid, conditions.plan
    seed = batch.masks[:, 0]
    clips, length = frames.shape[:2]
    # Time first, so that one frame of all clips is one slice of the features.
    pixels = frames.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    features = network.encode_frames(pixels)
    at = [features[index * clips : (index + 1) * clips] for index in range(length)]
    hidden = network.initial_hidden(clips, seed.shape[1], *at[0].key.shape[-2:])
    value, hidden = network.encode_values(frames[:, 0], at[0].f16, seed, hidden, deep_update=True)
    values, known = {0: value}, [seed]
    likeness = _likeness(batch) if network.refiner is not None else None
    followed = Followed([], [])
    for index in range(1, length):
        deep = index in plan.deep_updates
        with torch.set_grad_enabled(memory_learns and torch.is_grad_enabled()):
            read = plan.references[index]
            readout = _read([at[i] for i in read], [values[i] for i in read], at[index], top_k=conditions.top_k)
            update_hidden = not deep and index < length - 1
            hidden, logits, _ = network.decode(at[index], readout, hidden, update_hidden=update_hidden)
        if likeness is not None:
            moved = moved_masks(frames[:, index], _neighbours(batch, known, index, conditions))
            coarse = logits[:, 1:].masked_fill(~valid[..., None, None], NOWHERE)
            logits, _, presence = network.refine(frames[:, index], coarse, moved, likeness[index])
            followed.presence.append(presence)
        followed.logits.append(without_padding(logits.float(), valid))
        known.append(followed.logits[-1].softmax(dim=1)[:, 1:])
        if index in plan.memory_frames:
            with torch.set_grad_enabled(memory_learns and torch.is_grad_enabled()):
                values[index], hidden = network.encode_values(
                    frames[:, index], at[index].f16, known[index], hidden, deep_update=deep
                )
    return followed


def _likeness(batch: Batch) -> list[Likeness]:
    """How much every frame's pixels look like the seed's objects."""
    # float32, as at inference: sums of squares with the 8 bits of bf16 leave equations that cannot be solved.
    with torch.autocast(batch.frames.device.type, enabled=False):
        filtered = [filter_bank(frame) for frame in batch.frames.unbind(1)]
        model = fit_likeness(seed_moments(filtered[0], batch.masks[:, 0]))
        return [model(frame) for frame in filtered]


def _neighbours(batch: Batch, known: Sequence[Tensor], index: int, conditions: ClipConditions) -> list[Neighbour]:
    """The frames whose masks are moved to frame `index`; `known` are the masks of all frames before it."""
    return [
        Neighbour(known[index - back], batch.frames[:, index - back], conditions.disturbance(batch.flow[:, index, way]))
        for way, back in enumerate(NEIGHBOURS)
        if back <= index
    ]


def clip_loss(
    network: ImosNetwork, batch: Batch, conditions: ClipConditions, *, hardest: float = 1.0
) -> tuple[Tensor, Followed]:
    """Mean loss of frames 1..T-1, and what was predicted on them."""
    followed = follow_clip(network, batch, conditions)
    losses = [
        segmentation_loss(logits, batch.masks[:, index], batch.valid, hardest=hardest)
        for index, logits in enumerate(followed.logits, start=1)
    ]
    losses += [
        PRESENCE_WEIGHT * presence_loss(presence, batch.masks[:, index], batch.valid)
        for index, presence in enumerate(followed.presence, start=1)
    ]
    return torch.stack(losses).sum() / len(followed.logits), followed


def kept_clip_loss(
    network: ImosNetwork, former: ImosNetwork, batch: Batch, conditions: ClipConditions
) -> tuple[Tensor, Followed]:
    """How far the network has moved from what another one, in evaluation mode, answers on these clips.

    Truth plays no part: where the other one errs, it is to err alike (Learning without Forgetting, arXiv 1606.09282).
    """
    with torch.no_grad():
        kept = follow_clip(former, batch, conditions)
    followed = follow_clip(network, batch, conditions)
    pairs = zip(followed.logits, kept.logits, strict=True)
    losses = [KEPT_WEIGHT * kept_loss(now, before, batch.valid) for now, before in pairs]
    for now, before in zip(followed.presence, kept.presence, strict=True):
        apart = F.binary_cross_entropy_with_logits(now.float(), before.float().sigmoid(), reduction="none")
        losses.append(PRESENCE_WEIGHT * (apart * batch.valid).sum() / batch.valid.sum().clamp(min=1))
    return torch.stack(losses).sum() / len(followed.logits), followed


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
