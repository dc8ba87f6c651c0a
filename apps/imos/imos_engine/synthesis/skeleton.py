"""Bones: a bright hard layer around marrow, cut obliquely, so that it moves and changes from slice to slice."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Kind
from .bodies import random_blob, random_course
from .fields import FloatArray, slow_paths
from .shapes import Centre, as_column, blob, turned


def paint_bone(rng: np.random.Generator, scene: Anatomy, level: FloatArray) -> None:
    """A body with a hard layer and, mostly, marrow inside; together one object."""
    cortex = scene.paint(level < 1, Kind.BONE)
    if rng.random() < 0.8:
        marrow = scene.paint(level < rng.uniform(0.3, 0.75), Kind.MARROW)
        scene.name(cortex, marrow)
        if rng.random() < 0.2:
            scene.name(marrow)
    else:
        scene.name(cortex)


def paint_ribs(rng: np.random.Generator, scene: Anatomy) -> None:
    """A row of alike bones that cross the slices obliquely and so travel along an arc."""
    count = int(rng.integers(2, 8))
    arc = float(rng.uniform(0.3, 0.8))
    middle = rng.uniform(0.2, 0.8, 2)
    length = float(np.exp(rng.uniform(np.log(0.04), np.log(0.22))))
    gap = rng.uniform(1.2, 2.5) * length / arc
    start = rng.uniform(-np.pi, np.pi)
    pace = rng.normal(0, 0.35) * length / arc  # radians per slice
    travel = pace * (scene.at.positions - scene.at.positions[0]) / max(1.0, np.diff(scene.at.positions).mean())
    for rib in range(count):
        angle = start + rib * gap + travel
        wander = 0.08 * length * slow_paths(rng, scene.at.positions, scene.tempo, 2)
        x = middle[0] + arc * np.cos(angle) + wander[:, 0] - arc * np.cos(start)
        y = middle[1] + arc * np.sin(angle) + wander[:, 1] - arc * np.sin(start)
        u, v = turned(scene.at.x, scene.at.y, x, y, angle + np.pi / 2 + rng.normal(0, 0.15))
        swelling = np.exp(0.2 * slow_paths(rng, scene.at.positions, scene.tempo, 2))
        u /= as_column(length / 2 * swelling[:, 0])
        v /= as_column(length * rng.uniform(0.12, 0.4) * swelling[:, 1])
        level = u * u + v * v
        level *= 1 + np.float32(0.25) * scene.bends[2].clip(-1.5, 1.5)
        paint_bone(rng, scene, level)


def paint_vertebra(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """A body, an arch around a canal, and processes that come and go; together one bone."""
    heading = rng.uniform(-np.pi, np.pi)
    ahead = np.array([np.cos(heading), np.sin(heading)])
    aside = np.array([-ahead[1], ahead[0]])
    level = random_blob(rng, scene, centre, radius)
    canal = np.asarray(centre) - ahead * radius * 1.5
    arch = limb(rng, scene, canal, radius * 0.9, 1.0)
    level = np.minimum(level, arch)
    for place in (canal + aside * radius * 1.5, canal - aside * radius * 1.5, canal - ahead * radius * 1.4):
        if rng.random() < 0.8:
            level = np.minimum(level, limb(rng, scene, place, radius * rng.uniform(0.35, 0.6), rng.uniform(1.5, 4)))
    paint_bone(rng, scene, level)
    hole = limb(rng, scene, canal, radius * rng.uniform(0.4, 0.65), 1.2)
    scene.name(scene.paint(hole < 1, Kind.TISSUE))


def limb(rng: np.random.Generator, scene: Anatomy, place: FloatArray, radius: float, elongation: float) -> FloatArray:
    """Level function of a part of a bone around a place (x, y)."""
    course = random_course(rng, scene, radius)
    return blob(
        rng, scene.at, centre=(float(place[0]), float(place[1])), radius=radius, elongation=elongation, course=course
    )
