"""How CT and MRI show a scene, in grey."""

from __future__ import annotations

import cv2
import numpy as np

from .anatomy import Anatomy, Group, Kind
from .camera import blur, noise
from .fields import FloatArray, screen_field, slow_paths
from .studio import Studio, textures
from .tissue import Looks, copy_looks, draw_looks, dye_bones, paint_tissue, separate


def ct(rng: np.random.Generator, scene: Anatomy, chosen: list[Group], studio: Studio) -> FloatArray:
    """Nearly constant tissues of little contrast, a contrast phase, noise, streaks; (T, H, W)."""
    span = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    looks = draw_looks(rng, scene.kinds, span=span, grain=0.15 * span * rng.random())
    cortex = float(looks.mean.max() + span * rng.uniform(0, 0.8))
    dye_bones(looks, scene.kinds, cortex=cortex, marrow=cortex - span * float(rng.uniform(0.1, 1.2)))
    enhance(rng, looks, scene.kinds, span)
    separate(rng, looks, scene.regions, chosen, contrast=float(rng.uniform(0.07, 0.25)) * span)
    copy_looks(looks, scene.lookalikes)
    image = blur(paint_tissue(scene.regions, looks, *textures(rng, scene, studio)), rng.uniform(0.3, 1.5))
    image += noise(rng, image.shape, rng.uniform(0, 1.2)) * np.float32(span * rng.uniform(0.02, 0.25))
    if rng.random() < 0.25:
        image += streaks(rng, studio) * np.float32(span * rng.uniform(0.1, 0.4))
    return image


def enhance(rng: np.random.Generator, looks: Looks, kinds: list[Kind], span: float) -> None:
    """Contrast agent: none, mostly in the vessels (early phase), or also in many organs (late phase)."""
    phase = rng.choice(("none", "early", "late"))
    dose = span * float(rng.uniform(0.2, 1.0))
    if phase == "none":
        return
    for region, kind in enumerate(kinds):
        if kind is Kind.CAVITY:
            looks.mean[region] = looks.mean[region] + dose * (1.0 if phase == "early" else 0.6)
        elif kind in (Kind.TISSUE, Kind.WALL) and rng.random() < (0.1 if phase == "early" else 0.4):
            looks.mean[region] += dose * rng.uniform(0.2, 0.6)


def streaks(rng: np.random.Generator, studio: Studio) -> FloatArray:
    """Bright and dark rays from one or two metal-like points, (T, H, W)."""
    x0, y0 = rng.uniform(0, 1, 2).astype(np.float32)
    angle = np.arctan2(studio.screen.y[0] - y0, studio.screen.x[0] - x0)
    wave = np.sin(angle * np.float32(2 * rng.integers(3, 16)) + np.float32(rng.uniform(0, 6)))
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
        image = ghosts(rng, image)
    level = np.float32(span * rng.uniform(0.01, 0.15))
    grain = rng.uniform(0, 0.8)
    image += level * noise(rng, image.shape, grain)
    return np.asarray(np.hypot(image, level * noise(rng, image.shape, grain)), np.float32)


def ghosts(rng: np.random.Generator, image: FloatArray) -> FloatArray:
    """Faint copies shifted along the phase encoding direction, from one axis of the frame, (T, H, W)."""
    axis = int(rng.integers(1, 3))
    copies = int(rng.integers(2, 5))
    strength = rng.uniform(0.04, 0.2) / copies
    shifted = [np.roll(image, image.shape[axis] * copy // copies, axis=axis) for copy in range(1, copies)]
    return np.asarray(image + np.float32(strength) * np.sum(shifted, axis=0), np.float32)
