"""Ends of objects inside a clip, with look-alikes that stay, so that a network can learn when something is gone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy, Group, Kind, LabelArray, in_group
from .fields import FloatArray

TOUCHING = 0.2  # a look-alike may border on at most this share of the outline of the object that it resembles


def end_objects(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], *, share: float) -> None:
    """End one or more of the chosen objects inside the clip, in this share of the clips where none ends by itself."""
    frames = len(scene.regions)
    rigid = tuple(region for region, kind in enumerate(scene.kinds) if kind in (Kind.VOID, Kind.INSTRUMENT))
    ending = any(not in_group(scene.regions[-1], group).any() for group in chosen)
    if ending or frames < 3 or rng.random() >= share:
        return
    ended = [chosen[int(rng.integers(len(chosen)))]]
    ended += [group for group in chosen if group != ended[0] and rng.random() < 0.3]
    for group in ended:
        last = int(rng.integers(1, frames - 1))
        for frame, kept in enumerate(kept_shares(rng, frames, last)):
            shrink(scene.regions[frame], group, float(kept), rigid)
        if rng.random() < 0.3:
            resemble(rng, scene, group, set().union(*chosen))


def kept_shares(rng: np.random.Generator, frames: int, last: int) -> FloatArray:
    """Share of its area that an object keeps in each frame, (T,): 1 in frame 0, 0 after frame `last`."""
    progress = np.arange(frames) / (last + rng.uniform(0.05, 1.0))
    slowness = np.exp(rng.uniform(np.log(0.7), np.log(6)))  # large: nearly abrupt
    return np.asarray(np.maximum(1 - progress**slowness, 0), np.float32)


def shrink(regions: LabelArray, group: Group, kept: float, rigid: Group) -> None:
    """Leave a share of an object's pixels in one frame (H, W), in place; all but rigid regions grow into the rest."""
    inside = in_group(regions, group)
    unfit = inside | in_group(regions, rigid)
    if kept >= 1 or not inside.any() or unfit.all():
        return
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    threshold = np.quantile(depth[inside], 1 - kept) if kept > 0 else np.inf
    removed = inside & (depth <= threshold)
    regions[removed] = nearest_outside(regions, unfit)[removed]


def nearest_outside(regions: LabelArray, inside: NDArray[np.bool_]) -> LabelArray:
    """The region of the nearest pixel that is not inside, for every pixel of one frame (H, W)."""
    _, nearest = cv2.distanceTransformWithLabels(
        inside.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(nearest.max()) + 1, np.uint8)
    table[nearest[~inside]] = regions[~inside]
    return np.asarray(table[nearest], np.uint8)


def resemble(rng: np.random.Generator, scene: Anatomy, group: Group, taken: set[int]) -> None:
    """Make one or two regions that outlast an object look like it, unless they lie along it."""
    inside = in_group(scene.regions[0], group).astype(np.uint8)
    ring = (cv2.dilate(inside, np.ones((5, 5), np.uint8)) > 0) & (inside == 0)
    count = len(scene.kinds)
    touching = np.bincount(scene.regions[0][ring], minlength=count) / max(int(ring.sum()), 1)
    lasting = np.bincount(scene.regions[-1].ravel(), minlength=count)
    least, most = max(12.0, 0.2 * float(inside.sum())), 4.0 * float(inside.sum())
    fit = [r for r in range(count) if r not in taken and touching[r] < TOUCHING and least < lasting[r] < most]
    for region in rng.permutation(fit)[: int(rng.integers(1, 3))]:
        scene.lookalikes[int(region)] = group[0]
