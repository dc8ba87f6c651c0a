"""Which of a scene's regions become the labelled objects of the clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy, LabelArray

LARGEST_SHARE = 0.75  # of the frame; a larger object would be the background
ENDING_SHARE = 0.25  # of the draws prefer an object that ends inside the clip; the others refuse one


def choose_objects(
    rng: np.random.Generator, scene: Anatomy, *, max_objects: int, min_area: float
) -> list[tuple[int, ...]]:
    """Up to `max_objects` disjoint objects that a person sees in frame 0 and could follow; may be empty."""
    areas = region_areas(scene)
    wanted = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    largest = LARGEST_SHARE * scene.regions[0].size
    endings_wanted = rng.random() < ENDING_SHARE
    candidates = [group for group in scene.objects if is_followable(areas[:, list(group)].sum(1), min_area, largest)]
    if not endings_wanted:
        candidates = [group for group in candidates if areas[:, list(group)].sum(1).min() >= min_area / 2]
    contact = border_contact(scene.regions[0], len(scene.kinds))
    chosen: list[tuple[int, ...]] = []
    while candidates and len(chosen) < min(wanted, max_objects):
        weights = np.array([preference(areas, contact, group, endings_wanted) for group in candidates])
        group = candidates[int(rng.choice(len(candidates), p=weights / weights.sum()))]
        if overlap_of_successive_frames(scene.regions, group) >= 0.15:
            chosen.append(group)
        candidates = [other for other in candidates if not set(other) & set(group)]
    return chosen


def region_areas(scene: Anatomy) -> NDArray[np.int64]:
    """Pixels of each region in each frame, (T, regions)."""
    return np.stack([np.bincount(frame.ravel(), minlength=len(scene.kinds)) for frame in scene.regions])


def border_contact(regions: LabelArray, count: int) -> NDArray[np.int64]:
    """Pixels of each region on the border of one frame (H, W)."""
    edges = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    return np.bincount(np.concatenate(edges), minlength=count)


def preference(
    areas: NDArray[np.int64], contact: NDArray[np.int64], group: tuple[int, ...], endings_wanted: bool
) -> float:
    """Weight of an object in the draw: larger ones a little more often, those cut by the border less."""
    first, *_, last = areas[:, list(group)].sum(1)
    cut = float(contact[list(group)].sum())
    ending = 30.0 if endings_wanted and last == 0 else 1.0
    return float(ending * np.power(first, 0.45) / (1 + 3 * cut / np.sqrt(first)))


def is_followable(areas: NDArray[np.int64], min_area: float, largest: float) -> bool:
    """Large enough in frames 0 and 1, and not the whole frame; areas (T,) in pixels per frame."""
    return bool(min_area <= areas[0] <= largest and areas[1] >= min_area / 2)


def overlap_of_successive_frames(regions: LabelArray, group: tuple[int, ...]) -> float:
    """Smallest intersection over union of an object's masks in neighbouring frames where it is in both."""
    masks = np.isin(regions, group)
    both = (masks[1:] & masks[:-1]).sum((1, 2))
    either = (masks[1:] | masks[:-1]).sum((1, 2))
    present = masks.any((1, 2))
    shared = present[1:] & present[:-1]
    return float((both[shared] / either[shared]).min()) if shared.any() else 1.0


def paint_labels(scene: Anatomy, chosen: list[tuple[int, ...]]) -> LabelArray:
    """Labels (T, H, W): 0 background, 1..K the chosen objects."""
    table = np.zeros(256, np.uint8)
    for label, group in enumerate(chosen, start=1):
        table[list(group)] = label
    return table[scene.regions]


def keep_labels(labels: LabelArray, kept: list[int]) -> LabelArray:
    """The same labels with only some objects left, numbered 1..K in their old order."""
    table = np.zeros(256, np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[labels]
