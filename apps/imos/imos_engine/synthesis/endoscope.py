"""How an endoscope shows a scene: colour, one lamp, wet highlights, smoke, instruments of metal and plastic."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Group, Kind
from .camera import blur, noise
from .fields import FloatArray, screen_field
from .studio import Studio, textures
from .textures import sample_texture
from .tissue import copy_looks, draw_looks, is_kind, outlines, paint_tissue, separate


def endoscopy(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Coloured tissue under one lamp: vessels, highlights, smoke, instruments; (T, H, W, 3) RGB."""
    looks = draw_looks(rng, scene.kinds, span=rng.uniform(0.15, 0.5), grain=rng.uniform(0.02, 0.12))
    for depth, region in enumerate(region for region, kind in enumerate(scene.kinds) if kind is Kind.CAVITY):
        looks.mean[region] *= rng.uniform(0.3, 0.7) / (1 + 0.5 * depth)
    separate(rng, looks, scene.regions, chosen, contrast=float(rng.uniform(0.03, 0.08)))
    copy_looks(looks, scene.lookalikes)
    fine, coarse = textures(rng, scene, studio)
    light = paint_tissue(scene.regions, looks, fine, coarse)
    light *= (1 + np.float32(rng.uniform(0, 0.35)) * scene.bends[1]).clip(0.3, 1.8)
    edges = blur(outlines(scene.regions, 1).astype(np.float32), 0.8)
    light *= 1 - np.float32(rng.uniform(0, 0.4)) * edges
    colours = tissue_colours(rng, len(scene.kinds))
    shade_instruments(rng, scene, light, colours)
    image = blur(light[..., None] * colours[scene.regions], rng.uniform(0.3, 1.2))
    if rng.random() < 0.5:
        image *= vessels(rng, scene, studio)
    image *= lamp(rng, studio)[..., None]
    if rng.random() < 0.8:
        image += highlights(rng, scene, studio)[..., None]
    if rng.random() < 0.25:
        haze = screen_field(rng, studio.screen.positions, studio.size, correlation=8, wavelength=0.5)
        image += np.clip(np.float32(0.15) * (haze + 0.5), 0, 0.4)[..., None]
    image += noise(rng, image.shape[:3], 0)[..., None] * np.float32(rng.uniform(0, 0.03))
    image[is_kind(scene, Kind.VOID)] = 0
    return image


def shade_instruments(rng: np.random.Generator, scene: Anatomy, light: FloatArray, colours: FloatArray) -> None:
    """Give instruments a gleam along the shaft, sometimes rings or a plastic colour; changes light and colours."""
    for region, (across, along) in scene.shafts.items():
        shaft = scene.regions == region
        colours[region] = 1 + rng.normal(0, 0.04 if rng.random() < 0.65 else 0.25, 3)
        offset = across[shaft]
        tone = np.float32(rng.uniform(0.15, 0.9)) * (1 - np.float32(0.5) * offset**2)
        if rng.random() < 0.3:
            tone *= 1 + np.float32(0.35) * np.sin(along[shaft] * np.float32(rng.uniform(6, 25)))
        light[shaft] = tone + np.float32(rng.uniform(0, 0.4)) * np.exp(-((offset - np.float32(0.3)) ** 2) * 20)


def vessels(rng: np.random.Generator, scene: Anatomy, studio: Studio) -> FloatArray:
    """Fine red vessels on the tissue, factor per colour (T, H, W, 3)."""
    ridges = sample_texture(
        rng, studio.tiles[10:12], scene.at, zoom=float(rng.uniform(0.7, 2.0)), tempo=8 * studio.tempo, sticks=True
    )
    density = np.clip(3 * ridges - np.float32(rng.uniform(1.8, 3.0)), 0, 1) * np.float32(rng.uniform(0.2, 0.8))
    density *= ~is_kind(scene, Kind.INSTRUMENT, Kind.VOID)
    return np.asarray(1 - density[..., None] * np.array([0.3, 0.8, 0.8], np.float32), np.float32)


def tissue_colours(rng: np.random.Generator, regions: int) -> FloatArray:
    """A colour per region around a common cast: red, pink, yellow, brown; (regions, 3) with mean near 1."""
    hues = np.array([[1.5, 0.7, 0.6], [1.35, 0.85, 0.8], [1.4, 1.1, 0.6], [1.1, 0.75, 0.65], [1.2, 1.05, 0.95]])
    picked = hues[rng.choice(len(hues), size=int(rng.integers(2, 5)))]
    colours = picked[rng.integers(0, len(picked), regions)] + rng.normal(0, 0.04, (regions, 3))
    return np.asarray(colours * rng.normal(1, 0.08, 3), np.float32)


def lamp(rng: np.random.Generator, studio: Studio) -> FloatArray:
    """Light that falls off from a spot near the middle, (1, H, W)."""
    x0, y0 = rng.uniform(0.3, 0.7, 2).astype(np.float32)
    distance = (studio.screen.x[:1] - x0) ** 2 + (studio.screen.y[:1] - y0) ** 2
    return np.asarray(1.15 - np.float32(rng.uniform(0.2, 1.6)) * distance, np.float32).clip(0.1, 2)


def highlights(rng: np.random.Generator, scene: Anatomy, studio: Studio) -> FloatArray:
    """White reflections on wet tissue, in streaks and clusters, (T, H, W)."""
    tiles = studio.tiles[14:16] if rng.random() < 0.5 else studio.tiles[3:6]  # fibres, or spots
    at = scene.at if rng.random() < 0.5 else studio.screen
    grain = sample_texture(rng, tiles, at, zoom=float(rng.uniform(0.6, 1.6)), tempo=studio.tempo, sticks=True)
    wetness = grain + np.float32(rng.uniform(0.3, 1.0)) * scene.bends[2] - np.float32(rng.uniform(2.2, 3.6))
    return blur(np.clip(wetness * 2, 0, 1), 0.7)
