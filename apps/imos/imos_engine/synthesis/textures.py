"""Periodic tiles of fine random texture, sampled so that they stick to the tissue or stand still on the screen."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from scipy.spatial import cKDTree

from .fields import Coordinates, FloatArray

TILE = 256  # pixels along each side


class TileSet:
    """The textures that one clip is painted with; made when first asked for, since that takes longer than a clip."""

    def __init__(self, seed: int, number: int) -> None:
        self._seed, self._number = seed, number

    @cached_property
    def general(self) -> list[FloatArray]:
        """For all tissues."""
        return texture_tiles(self._random(1))

    @cached_property
    def speckle(self) -> list[FloatArray]:
        """For ultrasound."""
        return speckle_tiles(self._random(2))

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((self._seed, self._number), spawn_key=(purpose,)))


def band_noise(rng: np.random.Generator, *, wavelength_x: float, wavelength_y: float, low: float = 0.0) -> FloatArray:
    """Periodic Gaussian texture (TILE, TILE) of unit variance; wavelengths in pixels; `low` removes coarse detail."""
    frequency = np.fft.fftfreq(TILE)[:, None] * wavelength_y, np.fft.rfftfreq(TILE)[None, :] * wavelength_x
    square = frequency[0] ** 2 + frequency[1] ** 2
    transfer = np.exp(-square) - low * np.exp(-4 * square)
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) * transfer, s=(TILE, TILE))
    noise -= noise.mean()
    return np.asarray(noise / noise.std(), np.float32)


def standardised(tile: FloatArray) -> FloatArray:
    """Zero mean and unit variance."""
    return np.asarray((tile - tile.mean()) / tile.std(), np.float32)


def texture_tiles(rng: np.random.Generator) -> list[FloatArray]:
    """Grains, spots, ridges, fibres, bubbles and clouds, each (TILE, TILE) of unit variance; no two sets are alike."""
    tiles = [_grains(rng, wavelength) for wavelength in (2, 3, 5, 8, 13, 20)]
    tiles += [_grains(rng, wavelength, low=0.9) for wavelength in (4, 8, 14, 24)]
    tiles += [standardised(-np.abs(tile)) for tile in tiles[6:10]]  # bright ridges, as vessels
    tiles += [_fibres(rng, wavelength) for wavelength in (10, 24)]
    tiles += [standardised(np.maximum(tile - 1, 0)) for tile in tiles[7:9]]  # sparse spots
    tiles += [standardised(np.tanh(rng.uniform(1, 4) * (tile - rng.normal(0, 0.5)))) for tile in tiles[4:6]]  # patches
    tiles += [_bubbles(rng, cells) for cells in (60, 400)]
    tiles += [standardised(tiles[int(rng.integers(4))] * np.maximum(tiles[5], 0))]  # grain here and not there
    tiles += [_clouds(rng)]
    return tiles


def _grains(rng: np.random.Generator, wavelength: float, *, low: float = 0.0) -> FloatArray:
    wavelength *= float(np.exp(rng.normal(0, 0.25)))
    return band_noise(
        rng, wavelength_x=wavelength, wavelength_y=wavelength * float(np.exp(rng.normal(0, 0.2))), low=low
    )


def _fibres(rng: np.random.Generator, wavelength: float) -> FloatArray:
    """Along a random direction; shearing by whole tiles keeps them periodic."""
    tile = band_noise(rng, wavelength_x=wavelength, wavelength_y=wavelength / rng.uniform(3, 8))
    slope = int(rng.integers(-1, 2))
    sheared = np.stack([np.roll(tile[:, column], slope * column) for column in range(TILE)], axis=1)
    return np.ascontiguousarray(sheared if rng.random() < 0.5 else sheared.T)


def _bubbles(rng: np.random.Generator, cells: int) -> FloatArray:
    """Cells with thin walls between them: how much nearer the nearest of random points is than the second nearest."""
    tree = cKDTree(rng.uniform(0, TILE, (cells, 2)), boxsize=TILE)
    places = np.moveaxis(np.mgrid[:TILE:2, :TILE:2], 0, -1)
    distances, _ = tree.query(places.reshape(-1, 2), k=2)
    walls = np.exp(-(distances[:, 1] - distances[:, 0]) / rng.uniform(1, 4)).reshape(places.shape[:2])
    enlarged = cv2.resize(np.asarray(walls, np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    return standardised(np.asarray(enlarged, np.float32))


def _clouds(rng: np.random.Generator) -> FloatArray:
    """Detail of every size, the finer the weaker, by a random power."""
    size = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    size[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) * size ** -rng.uniform(0.7, 1.6)
    return standardised(np.asarray(np.fft.irfft2(spectrum, s=(TILE, TILE)), np.float32))


def speckle_tiles(rng: np.random.Generator) -> list[FloatArray]:
    """Gaussian grains, longer across the beam than along it, in three sizes of four tiles each."""
    sizes = np.array(((4.0, 2.0), (8.0, 3.5), (14.0, 6.0))) * np.exp(rng.normal(0, 0.2))
    return [band_noise(rng, wavelength_x=x, wavelength_y=y) for x, y in sizes for _ in range(4)]


def sample_texture(
    rng: np.random.Generator, tiles: list[FloatArray], at: Coordinates, *, zoom: float, tempo: float, sticks: bool
) -> FloatArray:
    """A texture (T, H, W) of unit variance that turns slowly from one tile into another over `tempo` slices.

    A texture that does not stick is drawn afresh in every frame, with the same statistics.
    """
    first, second = (tiles[int(rng.integers(len(tiles)))] for _ in range(2))
    scale = np.float32(at.x.shape[-1] / zoom)
    phases = rng.uniform(0, 2 * np.pi) + at.positions / tempo
    start = rng.uniform(0, TILE, 2).astype(np.float32)
    texture = np.empty_like(at.x)
    for frame, phase in enumerate(phases):
        offset = start if sticks else rng.uniform(0, TILE, 2).astype(np.float32)
        tile = cv2.addWeighted(first, float(np.cos(phase)), second, float(np.sin(phase)), 0)
        map_x, map_y = at.x[frame] * scale + offset[0], at.y[frame] * scale + offset[1]
        cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, texture[frame], cv2.BORDER_WRAP)
    return texture
