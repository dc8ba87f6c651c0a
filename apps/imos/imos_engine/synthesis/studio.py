"""What every appearance needs beside the scene: textures, the still screen, the tempo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .fields import Coordinates, FloatArray
from .textures import TileSet, sample_texture


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Everything an appearance needs beside the scene."""

    tile_set: TileSet
    screen: Coordinates  # the frame itself, without motion
    tempo: float  # slices over which things change

    @property
    def tiles(self) -> list[FloatArray]:
        """General textures."""
        return self.tile_set.general

    @property
    def speckle(self) -> list[FloatArray]:
        """Ultrasound grains."""
        return self.tile_set.speckle

    @property
    def size(self) -> int:
        """Pixels along each side of the frame."""
        return self.screen.x.shape[-1]


def textures(rng: np.random.Generator, scene: Anatomy, studio: Studio) -> tuple[FloatArray, FloatArray]:
    """Two textures (T, H, W), which in most clips stick to the tissue."""
    sticks = rng.random() < 0.75
    zooms = np.exp(rng.uniform(np.log(0.7), np.log(2.5), 2))
    fine, coarse = (
        sample_texture(rng, studio.tiles, scene.at, zoom=float(zoom), tempo=studio.tempo, sticks=sticks)
        for zoom in zooms
    )
    return fine, coarse
