"""Recipes for whole scenes, and what lies in front of them: instruments, the border of the field of view."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Kind, blank
from .bodies import paint_bodies, paint_folds, paint_layers, paint_shell, random_blob, random_centre, random_course
from .fields import Coordinates, FloatArray
from .packing import neuropil, paint_packing
from .shapes import Course, blob, rod
from .skeleton import paint_ribs, paint_vertebra


def trunk(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """A slice through a body: air, skin, layers or packed organs, vessels, bones, small look-alikes."""
    scene = blank(rng, at, tempo)
    packed = rng.random() < 0.35
    if packed:
        paint_packing(rng, scene, count=int(rng.integers(8, 45)), depth=tempo * rng.uniform(2, 6), sway=0.05)
    elif rng.random() < 0.7:
        paint_layers(rng, scene, int(rng.integers(1, 4)))
    count = int(rng.integers(0, 4)) if packed else int(rng.integers(3, 10))
    paint_bodies(rng, scene, count=count, smallest=0.06, largest=rng.uniform(0.2, 0.45))
    if rng.random() < 0.5:
        paint_bodies(rng, scene, count=int(rng.integers(2, 10)), smallest=0.02, largest=0.07)
    if rng.random() < 0.2:
        paint_ribs(rng, scene)
    if rng.random() < 0.2:
        paint_vertebra(rng, scene, random_centre(rng), float(np.exp(rng.uniform(np.log(0.06), np.log(0.22)))))
    if rng.random() < 0.4:
        course = random_course(rng, scene, 0.2)
        skin = blob(rng, at, centre=(0.5, 0.5), radius=rng.uniform(0.4, 0.6), elongation=1.3, course=course)
        scene.paint(skin * (1 + np.float32(0.1) * scene.bends[0]) > 1.3, Kind.AIR)
    return scene


def head_or_trunk(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """A slice through a trunk, or through folded tissue with few bodies in it."""
    if rng.random() < 0.7:
        return trunk(rng, at, tempo)
    scene = blank(rng, at, tempo)
    x, y = rng.uniform(0.3, 0.7, 2)
    paint_folds(rng, scene, (float(x), float(y)), float(rng.uniform(0.15, 0.4)))
    paint_bodies(rng, scene, count=int(rng.integers(2, 9)), smallest=0.02, largest=0.15)
    return scene


def tissue_block(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """Neuropil, or sometimes loose tissue with a few bodies in it."""
    if rng.random() < 0.85:
        return neuropil(rng, at, tempo)
    scene = blank(rng, at, tempo)
    paint_packing(rng, scene, count=int(rng.integers(5, 30)), depth=tempo * 5, sway=0.05)
    paint_bodies(rng, scene, count=int(rng.integers(2, 9)), smallest=0.03, largest=0.2)
    return scene


def heart(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """Cavities with walls in layered tissue."""
    scene = blank(rng, at, tempo)
    if rng.random() < 0.8:
        paint_layers(rng, scene, int(rng.integers(1, 3)))
    paint_bodies(rng, scene, count=int(rng.integers(1, 6)), smallest=0.04, largest=0.2)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.25, 0.75, 2)
        paint_shell(rng, scene, (float(x), float(y)), float(rng.uniform(0.1, 0.32)))
    return scene


def operating_field(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """Large touching organs, folds, and instruments that move on their own."""
    scene = blank(rng, at, tempo)
    paint_packing(rng, scene, count=int(rng.integers(4, 20)), depth=tempo * 8, sway=0.08)
    if rng.random() < 0.4:
        paint_lumen(rng, scene)
    paint_bodies(rng, scene, count=int(rng.integers(1, 7)), smallest=0.05, largest=0.35)
    return scene


def paint_instruments(rng: np.random.Generator, scene: Anatomy, screen: Coordinates) -> None:
    """Rods that enter from the border and move with the hand, not with the tissue."""
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0.2, 0.8, 2)
        course = Course(correlation=float(rng.uniform(8, 25)), drift=float(rng.uniform(0.02, 0.15)), spin=0.15)
        angle = np.arctan2(y - 0.5, x - 0.5) + rng.normal(0, 0.6)
        width = float(np.exp(rng.uniform(np.log(0.03), np.log(0.16))))
        level, across, along = rod(
            rng,
            screen,
            centre=(float(x), float(y)),
            angle=float(angle),
            width=width,
            course=course,
            retreat=random_retreat(rng, len(screen.positions)),
        )
        instrument = scene.paint(level < 1, Kind.INSTRUMENT)
        scene.name(instrument)
        scene.shafts[instrument] = (across, along)


def random_retreat(rng: np.random.Generator, frames: int) -> FloatArray:
    """How far an instrument is drawn back in each frame (T,), frame widths: it enters, leaves or stays."""
    progress = np.linspace(0, 1, frames, dtype=np.float32)
    way = float(rng.uniform(0.2, 1.0))
    return np.asarray((way * progress, way * (1 - progress), 0 * progress)[int(rng.choice(3, p=(0.3, 0.25, 0.45)))])


def paint_lumen(rng: np.random.Generator, scene: Anatomy) -> None:
    """A dark passage between folds: airway, bowel, vessel seen from within."""
    x, y = rng.uniform(0.2, 0.8, 2)
    level = random_blob(rng, scene, (float(x), float(y)), float(rng.uniform(0.12, 0.4)))
    rings = [scene.paint(level < 1, Kind.CAVITY)]
    for step in np.sort(rng.uniform(0.1, 0.85, int(rng.integers(0, 4))))[::-1]:
        ragged = level * (1 + np.float32(0.2) * scene.bends[1])
        rings.append(scene.paint((ragged < step) & (level < 1), Kind.CAVITY))
    scene.name(*rings)
    scene.name(rings[-1])


def paint_outside(rng: np.random.Generator, scene: Anatomy, screen: Coordinates, *, fan: bool) -> None:
    """Cover what lies outside the field of view: an ultrasound fan, or a round endoscope."""
    x, y = screen.x[:1] - np.float32(rng.normal(0.5, 0.03)), screen.y[:1]
    if fan:
        apex, half_angle = rng.uniform(-0.15, 0.08), rng.uniform(0.5, 0.85)
        distance = np.hypot(x, y - apex)
        outside = (np.abs(x) > (y - apex) * np.tan(half_angle)) | (distance > rng.uniform(0.9, 1.15) - apex)
    else:
        outside = np.hypot(x, y - 0.5) > rng.uniform(0.48, 0.62)
    scene.paint(np.broadcast_to(outside, scene.regions.shape), Kind.VOID)
