"""From a label volume with a few annotated slices to labels on every slice."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imos_engine.propagation import Propagator
from imos_engine.sequence import FrameSequence, Seed, slices_touched

Labels = NDArray[np.integer[Any]]


def seeds_from(labels: Labels, *, complete: Collection[int] = ()) -> list[Seed]:
    """One seed per slice that holds a label or is `complete`.

    A slice speaks about the labels on it; a complete one about every label of the volume: what it lacks is absent.
    Shapes: labels (T, H, W) in carrying order.

    Raises:
        ValueError: a complete slice lies outside the volume, or no slice holds a label.
    """
    outside = [index for index in complete if not 0 <= index < len(labels)]
    if outside:
        raise ValueError(f"there is no slice {outside[0]}: along this axis slices are 0 to {len(labels) - 1}")
    every = frozenset(int(value) for value in np.unique(labels)) - {0}
    if not every:
        raise ValueError("no slice of the seeds holds a label; annotate the object on at least one slice")
    indices = sorted({*slices_touched(labels, 0), *complete})
    return [_seed(labels[index], index, every if index in complete else None) for index in indices]


def carry(
    propagator: Propagator, images: NDArray[Any], seeds: Sequence[Seed], *, show_progress: bool = False
) -> Labels:
    """Labels on every frame, (T, H, W), from seeds; images are (T, H, W) or (T, H, W, 3).

    Annotated frames come back exactly as they are, also where another label was predicted onto one of them.
    """
    frames = FrameSequence.under(images, seeds)
    largest = max(object_id for seed in seeds for object_id in seed.objects)
    labels = np.zeros(images.shape[:3], dtype=np.min_scalar_type(largest))
    results = propagator.propagate(frames, seeds)
    for result in tqdm(results, total=len(frames), unit="slice", file=sys.stderr, disable=not show_progress):
        labels[result.index] = result.labels
    for seed in seeds:
        labels[seed.index] = seed.labels
    return labels


def _seed(labels: Labels, index: int, objects: frozenset[int] | None) -> Seed:
    present = frozenset(int(value) for value in np.unique(labels)) - {0}
    return Seed(index=index, labels=labels, objects=present if objects is None else objects)
