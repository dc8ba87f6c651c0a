"""Objects of several tissues: what a person outlines is one thing, but seldom one shade.

A neuron holds dark mitochondria, a fold of mucosa glistens, a stomach holds gas. An object is therefore often given
inclusions of other tissue, or joined with regions that touch it.
"""

from __future__ import annotations

import cv2
import numpy as np

from .anatomy import Anatomy, Group, Kind, in_group
from .bodies import random_course
from .packing import interior
from .shapes import blob

MOST_REGIONS = 250  # region ids are bytes
LARGEST_UNION = 0.4  # of the frame


def patched(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], *, share: float) -> list[Group]:
    """The chosen objects, this share of them made of several tissues; they stay disjoint."""
    objects = list(chosen)
    for position in range(len(objects)):
        if rng.random() < share:
            if rng.random() < 0.6:
                taken = {region for other in objects for region in other}
                objects[position] = joined(rng, scene, objects[position], taken)
            if rng.random() < 0.6:
                objects[position] = filled(rng, scene, objects[position])
    return objects


def joined(rng: np.random.Generator, scene: Anatomy, group: Group, taken: set[int]) -> Group:
    """The object with one to three of the regions that touch it in frame 0, if any is free and not too large."""
    areas = np.bincount(scene.regions[0].ravel(), minlength=len(scene.kinds))
    for _ in range(int(rng.integers(1, 4))):
        inside = in_group(scene.regions[0], group).astype(np.uint8)
        ring = (cv2.dilate(inside, np.ones((5, 5), np.uint8)) > 0) & (inside == 0)
        contact = np.bincount(scene.regions[0][ring], minlength=len(scene.kinds)).astype(float)
        room = LARGEST_UNION * scene.regions[0].size - areas[list(group)].sum()
        for region, kind in enumerate(scene.kinds):
            if region in taken or region in group or kind is Kind.VOID or areas[region] > room:
                contact[region] = 0
        if contact.sum() == 0:
            break
        group = (*group, int(rng.choice(len(contact), p=contact / contact.sum())))
    return group


def filled(rng: np.random.Generator, scene: Anatomy, group: Group) -> Group:
    """The object with up to five inclusions that move with it."""
    inside = in_group(scene.regions, group)
    size = scene.regions.shape[2]
    for _ in range(int(rng.integers(1, 6))):
        frame = int(rng.integers(len(inside)))
        places = np.argwhere(inside[frame])
        if not len(places) or len(scene.kinds) >= MOST_REGIONS:
            continue
        row, column = places[int(rng.integers(len(places)))]
        widest = np.sqrt(len(places) / np.pi) / size
        radius = float(np.clip(widest * rng.uniform(0.1, 0.8), 0.01, 0.25))
        level = blob(
            rng,
            scene.at,
            centre=(float(scene.at.x[frame, row, column]), float(scene.at.y[frame, row, column])),
            radius=radius,
            elongation=float(np.exp(abs(rng.normal(0, 0.7)))),
            course=random_course(rng, scene, radius),
        )
        level *= 1 + np.float32(rng.uniform(0, 0.5)) * scene.bends[0].clip(-1.5, 1.5)
        depth = int(rng.integers(0, 3))
        kind = Kind.ORGANELLE if rng.random() < 0.3 else Kind.TISSUE
        part = (level < 1) & (interior(inside, depth) if depth else inside)
        group = (*group, scene.paint(part, kind))
    return group
