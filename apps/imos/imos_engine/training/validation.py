"""How well a network follows objects through held-out clips longer than those it was trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imos_engine.metrics import region_similarity
from imos_engine.network import ImosNetwork
from imos_engine.training.augmentation import with_some_objects
from imos_engine.training.clip_step import ClipConditions, follow_clip, regular_plan
from imos_engine.training.clips import Batch, ClipSource, collate, labelled
from imos_engine.training.losses import label_map

Labels = NDArray[np.integer[Any]]

MOST_OBJECTS = 3  # followed per clip


def held_out_clips(source: ClipSource, clips: int) -> list[Batch]:
    """One batch per clip, up to three objects each."""
    made = (source.clip(index) for index in range(clips))
    return [collate([with_some_objects(labelled(clip), MOST_OBJECTS, np.random.default_rng(0))]) for clip in made]


@torch.no_grad()
def predicted_labels(
    network: ImosNetwork, batches: Sequence[Batch], *, write_every: int, top_k: int | None, device: torch.device
) -> list[Labels]:
    """The labels (B, T-1, H, W) of all frames but the seed, per batch; the network stays in evaluation mode."""
    network.eval()
    predicted = []
    for batch in (batch.to(device) for batch in batches):
        plan = regular_plan(batch.frames.shape[1], write_every)
        predicted.append(_labels(follow_clip(network, batch, ClipConditions(plan=plan, top_k=top_k)).logits))
    return predicted


def mean_similarity(batches: Sequence[Batch], predicted: Sequence[Labels]) -> float:
    """Mean J over the objects of all clips, seed frames left out; nan without an object."""
    pairs = zip(batches, predicted, strict=True)
    scores = [score for batch, labels in pairs for score in _scores(labels, batch.masks, batch.valid)]
    return float(np.mean(scores)) if scores else float("nan")


def seed_similarity(batches: Sequence[Batch]) -> float:
    """Mean J of repeating the seed mask: what a useful network must beat."""
    seeds = [label_map(batch.masks[:, :1]).cpu().numpy() for batch in batches]
    repeated = [seed.repeat(batch.masks.shape[1] - 1, axis=1) for seed, batch in zip(seeds, batches, strict=True)]
    return mean_similarity(batches, repeated)


def object_scores(logits: Sequence[Tensor], masks: Tensor, valid: Tensor) -> list[float]:
    """Mean J over frames 1..T-1 of every valid object.

    Shapes: logits T-1 times (B, K+1, H, W); masks (B, T, K, H, W); valid (B, K).
    """
    return _scores(_labels(logits), masks, valid)


def _labels(logits: Sequence[Tensor]) -> Labels:
    return torch.stack([frame.argmax(dim=1) for frame in logits], dim=1).cpu().numpy()


def _scores(predicted: Labels, masks: Tensor, valid: Tensor) -> list[float]:
    truth = label_map(masks[:, 1:]).cpu().numpy()
    scores = []
    for clip, channel in valid.nonzero().tolist():
        pairs = zip(predicted[clip] == channel + 1, truth[clip] == channel + 1, strict=True)
        scores.append(float(np.mean([region_similarity(*pair) for pair in pairs])))
    return scores
