"""Whole scenes of regions: what lies where in every frame, and which regions a person could name as an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from .fields import Coordinates, FloatArray, smooth_field
from .shapes import Centre, Course, blob, cells, rod

LabelArray = NDArray[np.uint8]
MAX_REGIONS = 250


class Kind(Enum):
    """What a region is made of; the appearance decides what that looks like."""

    TISSUE = auto()
    CAVITY = auto()
    WALL = auto()
    ORGANELLE = auto()
    INSTRUMENT = auto()
    AIR = auto()
    VOID = auto()  # outside the field of view


@dataclass(kw_only=True)
class Anatomy:
    """Regions painted over each other; later ones cover earlier ones."""

    at: Coordinates
    tempo: float  # correlation length of the shapes, slices
    bends: list[FloatArray]  # smooth fields (T, H, W) of unit variance that bend outlines
    regions: LabelArray  # (T, H, W)
    kinds: list[Kind] = field(default_factory=list)
    objects: list[tuple[int, ...]] = field(default_factory=list)  # sets of regions that make one object
    across: dict[int, FloatArray] = field(default_factory=dict)  # offset across instruments, for their shading

    def paint(self, inside: NDArray[np.bool_], kind: Kind) -> int:
        """Paint a new region and return its id."""
        self.kinds.append(kind)
        self.regions[inside] = len(self.kinds) - 1
        return len(self.kinds) - 1

    def name(self, *regions: int) -> None:
        """Make these regions together an object."""
        self.objects.append(regions)


def blank(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """An empty scene: one region of tissue."""
    bends = [smooth_field(rng, at, correlation=tempo, wavelength=w) for w in (0.5, 0.25, 0.12)]
    regions = np.zeros(at.x.shape, np.uint8)
    return Anatomy(at=at, tempo=tempo, bends=bends, regions=regions, kinds=[Kind.TISSUE])


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
    scene.name(outer)
    if rng.random() < 0.25:
        inner = scene.paint(level < rng.uniform(0.15, 0.5), Kind.TISSUE)
        scene.name(inner)
        scene.name(outer, inner)


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


def trunk(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """A slice through a body: air, skin, layers, organs, vessels, small look-alikes."""
    scene = blank(rng, at, tempo)
    if rng.random() < 0.7:
        paint_layers(rng, scene, int(rng.integers(1, 4)))
    paint_bodies(rng, scene, count=int(rng.integers(3, 10)), smallest=0.06, largest=rng.uniform(0.2, 0.45))
    if rng.random() < 0.7:
        paint_bodies(rng, scene, count=int(rng.integers(2, 12)), smallest=0.02, largest=0.07)
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
    """Packed cells with organelles, as in electron microscopy, or packed lobules."""
    scene = blank(rng, at, tempo)
    count = int(np.exp(rng.uniform(np.log(12), np.log(110))))
    sway = (scene.bends[0] * np.float32(0.05), scene.bends[1] * np.float32(0.03))
    scene.regions[:] = cells(rng, at, count=count, depth=tempo * rng.uniform(3, 8), sway=sway)
    scene.kinds = [Kind.TISSUE] * count
    scene.objects = [(cell,) for cell in range(count)]
    for _ in range(int(rng.integers(0, 14))):
        level = random_blob(rng, scene, random_centre(rng), float(np.exp(rng.uniform(np.log(0.02), np.log(0.12)))))
        scene.name(scene.paint(level < 1, Kind.ORGANELLE))
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
    count = int(rng.integers(4, 14))
    sway = (scene.bends[0] * np.float32(0.1), scene.bends[1] * np.float32(0.05))
    scene.regions[:] = cells(rng, at, count=count, depth=tempo * 8, sway=sway)
    scene.kinds = [Kind.TISSUE] * count
    scene.objects = [(cell,) for cell in range(count)]
    paint_bodies(rng, scene, count=int(rng.integers(1, 7)), smallest=0.05, largest=0.35)
    return scene


def paint_instruments(rng: np.random.Generator, scene: Anatomy, screen: Coordinates) -> None:
    """Rods that enter from the border and move with the hand, not with the tissue."""
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0.2, 0.8, 2)
        course = Course(correlation=float(rng.uniform(8, 25)), drift=float(rng.uniform(0.02, 0.15)), spin=0.15)
        angle = np.arctan2(y - 0.5, x - 0.5) + rng.normal(0, 0.6)
        width = float(np.exp(rng.uniform(np.log(0.03), np.log(0.16))))
        level, across = rod(rng, screen, centre=(float(x), float(y)), angle=float(angle), width=width, course=course)
        instrument = scene.paint(level < 1, Kind.INSTRUMENT)
        scene.name(instrument)
        scene.across[instrument] = across


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
