"""Whole scenes of regions: what lies where in every frame, and which regions a person could name as an object."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from .fields import Coordinates, FloatArray, smooth_field

LabelArray = NDArray[np.uint8]
Group = tuple[int, ...]  # regions that make one object


class Kind(Enum):
    """What a region is made of; the appearance decides what that looks like."""

    TISSUE = auto()
    CAVITY = auto()
    WALL = auto()
    ORGANELLE = auto()
    INSTRUMENT = auto()
    BONE = auto()  # its hard outer layer
    MARROW = auto()
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
    objects: list[Group] = field(default_factory=list)
    lookalikes: dict[int, int] = field(default_factory=dict)  # region: the region that it must look like
    shafts: dict[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict)  # instruments: across and along

    def paint(self, inside: NDArray[np.bool_], kind: Kind) -> int:
        """Paint a new region and return its id."""
        self.kinds.append(kind)
        self.regions[inside] = len(self.kinds) - 1
        return len(self.kinds) - 1

    def name(self, *regions: int) -> None:
        """Make these regions together an object."""
        self.objects.append(regions)


def in_group(regions: LabelArray, group: Group) -> NDArray[np.bool_]:
    """Pixels of any of these regions; regions of any shape."""
    table = np.zeros(256, bool)
    table[list(group)] = True
    return table[regions]


def blank(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """An empty scene: one region of tissue."""
    bends = [smooth_field(rng, at, correlation=tempo, wavelength=w) for w in (0.5, 0.25, 0.12)]
    regions = np.zeros(at.x.shape, np.uint8)
    return Anatomy(at=at, tempo=tempo, bends=bends, regions=regions, kinds=[Kind.TISSUE])
