"""Tubes that run through the slices, branch and join."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Kind
from .fields import FloatArray, slow_paths
from .shapes import Centre, as_column, turned


def paint_tree(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """A vessel whose branches part from it or, seen from the other end, flow into it; together one object."""
    positions = scene.at.positions
    span = max(float(np.ptp(positions)), 1.0)
    course = (positions - positions[0]) / span
    course = course if rng.random() < 0.5 else 1 - course
    trunk = np.asarray(centre) + radius * 0.8 * slow_paths(rng, positions, scene.tempo, 2)
    level = tube(scene, trunk, np.full(len(positions), radius))
    for _ in range(int(rng.integers(1, 5))):
        since = np.maximum(course - rng.uniform(-0.4, 0.8), 0)
        heading = rng.uniform(-np.pi, np.pi)
        way = since * radius * rng.uniform(2, 8)
        wander = 0.5 * radius * slow_paths(rng, positions, scene.tempo, 2) * np.minimum(since, 1)[:, None]
        place = trunk + way[:, None] * np.array([np.cos(heading), np.sin(heading)]) + wander
        level = np.minimum(level, tube(scene, place, np.where(since > 0, radius * rng.uniform(0.35, 0.85), 1e-4)))
    scene.name(scene.paint(level < 1, Kind.CAVITY if rng.random() < 0.5 else Kind.TISSUE))


def tube(scene: Anatomy, places: FloatArray, radii: FloatArray) -> FloatArray:
    """Level function (T, H, W) of a tube through places (T, 2); cut obliquely, it is longer along its way."""
    way = np.gradient(places, axis=0)
    step = np.hypot(way[:, 0], way[:, 1])
    u, v = turned(scene.at.x, scene.at.y, places[:, 0], places[:, 1], np.arctan2(way[:, 1], way[:, 0]))
    u /= as_column(radii + 0.5 * step)
    v /= as_column(radii)
    return np.asarray(u * u + v * v, np.float32)
