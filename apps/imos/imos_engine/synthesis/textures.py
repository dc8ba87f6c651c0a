"""Periodic tiles of fine random texture, sampled so that they stick to the tissue or stand still on the screen."""

from __future__ import annotations

import cv2
import numpy as np

from .fields import Coordinates, FloatArray

TILE = 256  # pixels along each side


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
    """Grains, spots, ridges and fibres of several sizes, each (TILE, TILE) of unit variance."""
    tiles = [band_noise(rng, wavelength_x=w, wavelength_y=w) for w in (2, 3, 5, 8, 13, 20)]
    tiles += [band_noise(rng, wavelength_x=w, wavelength_y=w, low=0.9) for w in (4, 8, 14, 24)]
    tiles += [standardised(-np.abs(tile)) for tile in tiles[6:10]]  # bright ridges, as vessels
    tiles += [band_noise(rng, wavelength_x=w, wavelength_y=w / 5) for w in (10, 24)]
    tiles += [standardised(np.maximum(tile - 1, 0)) for tile in tiles[7:9]]  # sparse spots
    return tiles


def speckle_tiles(rng: np.random.Generator) -> list[FloatArray]:
    """Gaussian grains, longer across the beam than along it, in three sizes of four tiles each."""
    sizes = ((4.0, 2.0), (8.0, 3.5), (14.0, 6.0))
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
