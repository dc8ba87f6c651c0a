"""How ultrasound shows a scene, in grey; the probe is above the frame."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Group, Kind
from .camera import blur
from .fields import FloatArray, screen_field
from .studio import Studio, textures
from .textures import sample_texture
from .tissue import copy_looks, draw_looks, is_kind, outlines, paint_tissue, separate


def ultrasound(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Speckle, dark cavities, bright interfaces, shadows and gain; (T, H, W)."""
    looks = draw_looks(rng, scene.kinds, span=rng.uniform(0.3, 0.7), grain=0.05)
    for region, kind in enumerate(scene.kinds):
        if kind is Kind.CAVITY:
            looks.mean[region] = rng.uniform(0.03, 0.2)
    separate(rng, looks, scene.regions, chosen, contrast=0.12)
    copy_looks(looks, scene.lookalikes)
    image = paint_tissue(scene.regions, looks, *textures(rng, scene, studio))
    if rng.random() < 0.5:
        image *= enhancement(rng, scene)
    edges = interfaces(scene) if rng.random() < 0.5 else outlines(scene.regions, 1).astype(np.float32)
    image += blur(edges, 0.8) * np.float32(rng.uniform(0, 0.6)) * (1 + 0.7 * scene.bends[1]).clip(0, 2)
    image = blur(image, rng.uniform(0.8, 2.5), rng.uniform(0.4, 1.5))
    image *= speckle(rng, scene, studio) ** np.float32(rng.uniform(0.4, 1.0))
    gain = screen_field(rng, studio.screen.positions, studio.size, correlation=40, wavelength=rng.uniform(0.5, 1.5))
    image *= (1 + np.float32(rng.uniform(0, 0.35)) * gain).clip(0.15, 2)
    if rng.random() < 0.4:
        image *= shadows(rng, studio)
    if rng.random() < 0.3:
        image *= dropout(rng, studio)
    compression = np.float32(np.exp(rng.uniform(-0.5, 2.5)))
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


def interfaces(scene: Anatomy) -> FloatArray:
    """1 where the beam, which comes from above, meets another region at a steep angle, (T, H, W)."""
    level = np.zeros(scene.regions.shape, np.float32)
    level[:, 1:] = scene.regions[:, 1:] != scene.regions[:, :-1]
    return blur(level, 1.2, 0.4) * np.float32(1.5)


def enhancement(rng: np.random.Generator, scene: Anatomy) -> FloatArray:
    """Brighter tissue behind cavities, which weaken the beam less, factor at least 1, (T, H, W)."""
    depth = np.cumsum(is_kind(scene, Kind.CAVITY), axis=1, dtype=np.float32) / np.float32(scene.regions.shape[1])
    gain = 1 + np.float32(rng.uniform(0.5, 3)) * depth
    return np.asarray(np.where(is_kind(scene, Kind.CAVITY), np.float32(1), gain), np.float32)


def dropout(rng: np.random.Generator, studio: Studio) -> FloatArray:
    """Places where the probe loses contact or the signal fades, factor in (0, 1], (T, H, W)."""
    fade = screen_field(rng, studio.screen.positions, studio.size, correlation=15, wavelength=rng.uniform(0.5, 1.2))
    lost = np.clip(fade - np.float32(rng.uniform(0.8, 1.6)), 0, 0.5)
    return np.asarray(1 - np.float32(rng.uniform(1.0, 1.8)) * lost, np.float32)
