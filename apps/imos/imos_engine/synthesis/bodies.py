"""Bodies that are painted into a scene: organs, vessels, walls, sheets, folds, layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .anatomy import Anatomy, Kind
from .fields import FloatArray
from .shapes import Centre, Course, blob
from .vessels import paint_tree


def random_course(rng: np.random.Generator, scene: Anatomy, radius: float) -> Course:
    """Slow changes in proportion to the radius; most shapes end somewhere near the clip."""
    span = float(np.ptp(scene.at.positions))
    ends = rng.random() < 0.6
    half_length = max(6.0, scene.tempo * np.exp(rng.uniform(np.log(0.2), np.log(2.0)))) if ends else np.inf
    return Course(
        correlation=scene.tempo,
        drift=float(radius * rng.uniform(0.05, 0.5)),
        spin=float(rng.uniform(0.02, 0.3)),
        swelling=float(rng.uniform(0.03, 0.25)),
        middle=float(scene.at.positions[0] + rng.uniform(-0.5, 0.8) * span),
        half_length=float(half_length),
    )


def random_blob(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> FloatArray:
    """Level function of an organ-like body with a bent outline."""
    level = blob(
        rng,
        scene.at,
        centre=centre,
        radius=radius,
        elongation=float(np.exp(abs(rng.normal(0, 0.45)))),
        course=random_course(rng, scene, radius),
        power=4 if rng.random() < 0.1 else 2,
    )
    if rng.random() < 0.85:
        bend = scene.bends[int(np.clip(np.searchsorted([-0.22, -0.1], -radius), 0, 2))]
        level *= 1 + np.float32(rng.choice([-1, 1]) * rng.uniform(0.05, 0.45)) * np.clip(bend, -1.8, 1.8)
    return level


def random_centre(rng: np.random.Generator) -> Centre:
    """A place in or near the frame."""
    x, y = rng.uniform(-0.05, 1.05, 2)
    return float(x), float(y)


def paint_plain(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """One body, sometimes with a core."""
    level = random_blob(rng, scene, centre, radius)
    outer = scene.paint(level < 1, Kind.TISSUE)
    if rng.random() < 0.75:
        scene.name(outer)
        return
    inner = scene.paint(level < rng.uniform(0.15, 0.5), Kind.TISSUE)
    scene.name(inner)
    scene.name(outer, inner)
    if rng.random() < 0.3:
        scene.name(outer)


def paint_shell(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """A wall around a cavity: vessel, bowel, heart."""
    level = random_blob(rng, scene, centre, radius)
    wall = scene.paint(level < 1, Kind.WALL)
    opening = np.float32(rng.uniform(0.35, 0.8))
    shifted = level + np.float32(0.15) * scene.bends[0] if rng.random() < 0.4 else level
    cavity = scene.paint((shifted < opening) & (level < 1), Kind.CAVITY)
    scene.name(wall)
    scene.name(cavity)
    if rng.random() < 0.4:
        scene.name(wall, cavity)


def paint_halves(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """Two or three bodies that touch along bent faces."""
    level = random_blob(rng, scene, centre, radius)
    inside = level < 1
    first = scene.paint(inside, Kind.TISSUE)
    second = scene.paint(inside & (scene.bends[0] > rng.normal(0, 0.3)), Kind.TISSUE)
    scene.name(first)
    scene.name(second)
    if rng.random() < 0.4:
        scene.name(scene.paint(inside & (scene.bends[1] > 0.5), Kind.TISSUE))


def paint_pair(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """Two bodies of one object, which merge, split or branch along the sequence."""
    offset = rng.normal(0, radius * 0.8, 2)
    near = random_blob(rng, scene, centre, radius)
    far = random_blob(rng, scene, (centre[0] + float(offset[0]), centre[1] + float(offset[1])), radius * 0.8)
    scene.name(scene.paint(np.minimum(near, far) < 1, Kind.TISSUE))


def paint_sheet(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """A thin bent sheet: fascia, membrane, bowel wall, vessel along the slice."""
    level = blob(
        rng,
        scene.at,
        centre=centre,
        radius=radius * 1.5,
        elongation=float(rng.uniform(3, 12)),
        course=random_course(rng, scene, radius * 0.4),
    )
    bent = level + np.float32(0.5) * scene.bends[0] * np.sqrt(level)
    scene.name(scene.paint(bent < 1, Kind.WALL if rng.random() < 0.5 else Kind.TISSUE))


def paint_folds(rng: np.random.Generator, scene: Anatomy, centre: Centre, radius: float) -> None:
    """Nested bodies whose outlines are folded, as brain in its fluid or bowel in fat."""
    level = random_blob(rng, scene, centre, max(2 * radius, 0.25))
    folds = np.abs(scene.bends[2]) - np.float32(0.7)
    steps = np.sort(rng.uniform(0.15, 0.9, int(rng.integers(1, 4))))[::-1]
    scene.paint(level < 1, Kind.TISSUE)
    for step in steps:
        depth = np.float32(rng.uniform(0.05, 0.4) * (1 if rng.random() < 0.8 else 0.2))
        scene.name(scene.paint(level + depth * folds < step, Kind.TISSUE))


Painter = Callable[[np.random.Generator, Anatomy, Centre, float], None]
PAINTERS: list[tuple[Painter, float]] = [
    (paint_plain, 0.5),
    (paint_shell, 0.17),
    (paint_halves, 0.11),
    (paint_pair, 0.1),
    (paint_sheet, 0.12),
    (paint_folds, 0.06),
    (paint_tree, 0.08),
]


def paint_bodies(rng: np.random.Generator, scene: Anatomy, *, count: int, smallest: float, largest: float) -> None:
    """Paint bodies from large to small, radius in frame widths."""
    weights = np.array([weight for _, weight in PAINTERS])
    radii = np.sort(np.exp(rng.uniform(np.log(smallest), np.log(largest), count)))[::-1]
    for radius in radii:
        painter = PAINTERS[rng.choice(len(PAINTERS), p=weights / weights.sum())][0]
        painter(rng, scene, random_centre(rng), float(radius))


def paint_layers(rng: np.random.Generator, scene: Anatomy, count: int) -> None:
    """Cut everything painted so far into bent layers, as fat and muscle."""
    level = scene.bends[0] + np.float32(rng.uniform(0, 0.5)) * scene.bends[1]
    for threshold in np.sort(rng.normal(0, 0.8, count)):
        layer = scene.paint(level > threshold, Kind.TISSUE)
        if rng.random() < 0.3:
            scene.name(layer)
