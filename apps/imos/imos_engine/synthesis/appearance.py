"""How each kind of camera shows a scene: CT, MRI, ultrasound, electron microscopy (grey) and endoscopy (colour)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .anatomy import Anatomy, Group, Kind
from .camera import blur, noise
from .fields import Coordinates, FloatArray, screen_field, slow_paths
from .textures import sample_texture
from .tissue import copy_looks, draw_looks, dye_bones, is_kind, outlines, paint_tissue, separate


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Everything an appearance needs beside the scene."""

    tiles: list[FloatArray]  # general textures
    speckle: list[FloatArray]  # ultrasound grains
    screen: Coordinates  # the frame itself, without motion
    tempo: float  # slices over which things change

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


def ct(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Nearly constant tissues of little contrast, noise, streaks; (T, H, W)."""
    span = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    looks = draw_looks(rng, scene.kinds, span=span, grain=0.15 * span * rng.random())
    cortex = float(looks.mean.max() + span * rng.uniform(0, 0.8))
    dye_bones(looks, scene.kinds, cortex=cortex, marrow=cortex - span * float(rng.uniform(0.1, 1.2)))
    separate(rng, looks, scene.regions, chosen, contrast=float(rng.uniform(0.07, 0.25)) * span)
    copy_looks(looks, scene.lookalikes)
    image = blur(paint_tissue(scene.regions, looks, *textures(rng, scene, studio)), rng.uniform(0.3, 1.5))
    image += noise(rng, image.shape, rng.uniform(0, 1.2)) * np.float32(span * rng.uniform(0.02, 0.25))
    if rng.random() < 0.25:
        image += streaks(rng, studio) * np.float32(span * rng.uniform(0.1, 0.4))
    return image


def streaks(rng: np.random.Generator, studio: Studio) -> FloatArray:
    """Bright and dark rays from one or two metal-like points, (T, H, W)."""
    x0, y0 = rng.uniform(0, 1, 2).astype(np.float32)
    angle = np.arctan2(studio.screen.y[0] - y0, studio.screen.x[0] - x0)
    wave = np.sin(angle * np.float32(2 * rng.integers(2, 9)) + np.float32(rng.uniform(0, 6)))
    strength = np.abs(slow_paths(rng, studio.screen.positions, studio.tempo, 1))[:, :, None]
    return np.asarray(strength * np.sign(wave) * wave**4, np.float32)


def mr(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Soft tissue with a bias field, Rician noise and sometimes ghosts; (T, H, W)."""
    span = rng.uniform(0.25, 0.75)
    looks = draw_looks(rng, scene.kinds, span=span, grain=0.25 * span * rng.random())
    dye_bones(looks, scene.kinds, cortex=float(looks.mean.min()), marrow=float(rng.choice(looks.mean)))
    separate(rng, looks, scene.regions, chosen, contrast=float(rng.uniform(0.07, 0.22)) * span)
    copy_looks(looks, scene.lookalikes)
    image = blur(paint_tissue(scene.regions, looks, *textures(rng, scene, studio)), rng.uniform(0.4, 1.8))
    bias = screen_field(rng, studio.screen.positions, studio.size, correlation=60, wavelength=rng.uniform(0.8, 2))
    image *= cv2.exp(bias * np.float32(rng.uniform(0, 0.3))).reshape(image.shape)
    if rng.random() < 0.2:
        image += np.float32(rng.uniform(0.03, 0.12)) * np.roll(image, studio.size // 2, axis=1)
    level = np.float32(span * rng.uniform(0.01, 0.15))
    grain = rng.uniform(0, 0.8)
    image += level * noise(rng, image.shape, grain)
    return np.asarray(np.hypot(image, level * noise(rng, image.shape, grain)), np.float32)


def ultrasound(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Speckle, dark cavities, bright interfaces, shadows and gain; (T, H, W)."""
    looks = draw_looks(rng, scene.kinds, span=rng.uniform(0.3, 0.7), grain=0.05)
    for region, kind in enumerate(scene.kinds):
        if kind is Kind.CAVITY:
            looks.mean[region] = rng.uniform(0.03, 0.2)
    separate(rng, looks, scene.regions, chosen, contrast=0.12)
    copy_looks(looks, scene.lookalikes)
    image = paint_tissue(scene.regions, looks, *textures(rng, scene, studio))
    edges = outlines(scene.regions, 1).astype(np.float32)
    image += blur(edges, 0.8) * np.float32(rng.uniform(0, 0.35)) * (1 + 0.7 * scene.bends[1]).clip(0, 2)
    image = blur(image, rng.uniform(0.8, 2.5), rng.uniform(0.4, 1.5))
    image *= speckle(rng, scene, studio) ** np.float32(rng.uniform(0.4, 1.0))
    gain = screen_field(rng, studio.screen.positions, studio.size, correlation=40, wavelength=rng.uniform(0.5, 1.5))
    image *= (1 + np.float32(rng.uniform(0, 0.35)) * gain).clip(0.15, 2)
    if rng.random() < 0.4:
        image *= shadows(rng, studio)
    compression = np.float32(np.exp(rng.uniform(0, 2.5)))
    image = np.log1p(np.maximum(image, 0) * compression)
    image[is_kind(scene, Kind.VOID)] = 0
    return np.asarray(image, np.float32)


def speckle(rng: np.random.Generator, scene: Anatomy, studio: Studio) -> FloatArray:
    """Rayleigh-distributed grains of unit mean, (T, H, W)."""
    size = int(rng.integers(3))
    tiles = studio.speckle[4 * size : 4 * size + 4]
    zoom = float(np.exp(rng.uniform(np.log(0.7), np.log(1.6))))
    sticks = rng.random() < 0.6
    at = scene.at if sticks else studio.screen
    parts = [sample_texture(rng, tiles, at, zoom=zoom, tempo=studio.tempo * 0.4, sticks=sticks) for _ in range(2)]
    return np.asarray(np.hypot(parts[0], parts[1]) * np.float32(0.8), np.float32)


def shadows(rng: np.random.Generator, studio: Studio) -> FloatArray:
    """Dark bands below absorbing places, factor in (0, 1], (T, H, W)."""
    profile = screen_field(rng, studio.screen.positions, studio.size, correlation=30, wavelength=rng.uniform(0.15, 0.5))
    band = np.clip(profile[:, :1] - np.float32(rng.uniform(0.3, 1.2)), 0, 1)
    depth = np.clip(studio.screen.y * 3 - np.float32(rng.uniform(0, 1.5)), 0, 1)
    return np.asarray(1 - np.float32(0.85) * band * depth, np.float32)


def em(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Dark membranes, granular interiors, brightness that jumps from slice to slice; (T, H, W)."""
    looks = draw_looks(rng, scene.kinds, span=rng.uniform(0.01, 0.2), grain=rng.uniform(0.01, 0.09))
    separate(rng, looks, scene.regions, chosen, contrast=0.01)
    darkness = np.float32(rng.uniform(0.15, 0.45))
    stain = rng.uniform(0.2, 1.0)
    for region, kind in enumerate(scene.kinds):
        if kind is Kind.ORGANELLE:
            pale = rng.random() < 0.15
            looks.mean[region] -= darkness * np.float32(-0.2 if pale else stain * rng.uniform(0.7, 1.0))
            looks.coarse[region] *= np.float32(0.3)
    copy_looks(looks, scene.lookalikes)
    image = paint_tissue(scene.regions, looks, *textures(rng, scene, studio))
    width = int(rng.choice((1, 2, 3, 4), p=(0.25, 0.35, 0.25, 0.15)))
    membrane = blur(outlines(scene.regions, width).astype(np.float32), rng.uniform(0.4, 0.6 + 0.4 * width))
    patchy = (1 + np.float32(rng.uniform(0, 0.6)) * scene.bends[2]).clip(0.3, 1.7)  # oblique membranes are faint
    image -= membrane * patchy * darkness
    image = blur(image, rng.uniform(0.2, 1.2))
    image += noise(rng, image.shape, rng.uniform(0, 1)) * np.float32(rng.uniform(0.01, 0.1))
    flicker = rng.normal(0, rng.uniform(0, 0.05), (2, len(image), 1, 1)).astype(np.float32)
    return np.asarray(image * (1 + flicker[0]) + flicker[1], np.float32)
