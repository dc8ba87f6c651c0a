"""Which of a scene's regions become the labelled objects of the clip."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy, Group, LabelArray, in_group

LARGEST_SHARE = 0.75  # of the frame; a larger object would be the background
USUAL_AREAS = (0.025, 0.2)  # of the frame: an object in a window two to three times its size; drawn more often
ENDING_SHARE = 0.3  # of the draws prefer an object that ends inside the clip; the others refuse one


def choose_objects(rng: np.random.Generator, scene: Anatomy, *, max_objects: int, min_area: float) -> list[Group]:
    """Up to `max_objects` disjoint objects that a person sees in frame 0 and could follow; may be empty."""
    areas = region_areas(scene)
    per_frame = {group: areas[:, list(group)].sum(1) for group in scene.objects}
    endings_wanted = rng.random() < ENDING_SHARE
    taste = rng.uniform(0, 0.7)  # 0 likes every size alike, 0.7 mostly large objects
    frame_area = scene.regions[0].size
    contact = border_contact(scene.regions[0], len(scene.kinds))
    weights = {
        group: preference(
            area, float(contact[list(group)].sum()), frame_area, taste=taste, endings_wanted=endings_wanted
        )
        for group, area in per_frame.items()
        if is_followable(area, min_area, frame_area) and (endings_wanted or area.min() >= min_area / 2)
    }
    wanted = min(int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])), max_objects)
    chosen: list[Group] = []
    while weights and len(chosen) < wanted:
        group = draw_weighted(rng, weights)
        if is_solid(scene.regions[0], group) and overlap_of_successive_frames(scene.regions, group) >= 0.15:
            chosen.append(group)
        weights = {other: weight for other, weight in weights.items() if not set(other) & set(group)}
    return chosen


def draw_weighted(rng: np.random.Generator, weights: dict[Group, float]) -> Group:
    """One of the keys, in proportion to its weight."""
    shares = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def region_areas(scene: Anatomy) -> NDArray[np.int64]:
    """Pixels of each region in each frame, (T, regions)."""
    return np.stack([np.bincount(frame.ravel(), minlength=len(scene.kinds)) for frame in scene.regions])


def border_contact(regions: LabelArray, count: int) -> NDArray[np.int64]:
    """Pixels of each region on the border of one frame (H, W)."""
    edges = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    return np.bincount(np.concatenate(edges), minlength=count)


def preference(areas: NDArray[np.int64], cut: float, frame_area: int, *, taste: float, endings_wanted: bool) -> float:
    """Weight of an object in the draw; areas (T,) in pixels per frame, `cut` pixels on the border of frame 0."""
    ending = 30.0 if endings_wanted and areas[-1] == 0 else 1.0
    usual = 3.0 if USUAL_AREAS[0] <= areas[0] / frame_area <= USUAL_AREAS[1] else 1.0
    return float(usual * ending * areas[0] ** taste / (1 + 6 * cut / np.sqrt(areas[0])))


def is_followable(areas: NDArray[np.int64], min_area: float, frame_area: int) -> bool:
    """Large enough in frames 0 and 1, and not the whole frame; areas (T,) in pixels per frame."""
    return bool(min_area <= areas[0] <= LARGEST_SHARE * frame_area and areas[1] >= min_area / 2)


def is_solid(regions: LabelArray, group: Group) -> bool:
    """Not a thread of one or two pixels, nor scattered crumbs; regions of one frame (H, W)."""
    mask = in_group(regions, group).astype(np.uint8)
    core = cv2.erode(mask, np.ones((3, 3), np.uint8))
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask)
    area = int(mask.sum())
    return bool(core.sum() > 0.15 * area and parts[1:, cv2.CC_STAT_AREA].max() > 0.5 * area)


def overlap_of_successive_frames(regions: LabelArray, group: Group) -> float:
    """Smallest intersection over union of an object's masks in neighbouring frames where it is in both."""
    masks = in_group(regions, group)
    both = (masks[1:] & masks[:-1]).sum((1, 2))
    either = (masks[1:] | masks[:-1]).sum((1, 2))
    present = masks.any((1, 2))
    shared = present[1:] & present[:-1]
    return float((both[shared] / either[shared]).min()) if shared.any() else 1.0


def paint_labels(scene: Anatomy, chosen: list[Group]) -> LabelArray:
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
