"""How an electron microscope shows a scene, in grey."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Group, Kind
from .camera import blur, noise
from .fields import FloatArray
from .studio import Studio, textures
from .tissue import copy_looks, draw_looks, outlines, paint_tissue, separate


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
    width = membrane_width(rng, scene)
    membrane = blur(outlines(scene.regions, width).astype(np.float32), rng.uniform(0.4, 0.6 + 0.4 * width))
    patchy = (1 + np.float32(rng.uniform(0, 0.6)) * scene.bends[2]).clip(0.3, 1.7)  # oblique membranes are faint
    image -= membrane * patchy * darkness
    image = blur(image, rng.uniform(0.2, 0.8 + 0.2 * width))
    image += noise(rng, image.shape, rng.uniform(0, 0.5 + 0.25 * width)) * np.float32(rng.uniform(0.01, 0.1))
    flicker = rng.normal(0, rng.uniform(0, 0.05), (2, len(image), 1, 1)).astype(np.float32)
    image = np.asarray(image * (1 + flicker[0]) + flicker[1], np.float32)
    if rng.random() < 0.15:
        damage(rng, image)
    return image


def membrane_width(rng: np.random.Generator, scene: Anatomy) -> int:
    """Pixels; the larger the cells in the frame, the nearer they are seen, and the thicker is what lies between them.

    A window around a small neurite magnifies it, its membranes and the noise alike.
    """
    areas = np.bincount(scene.regions[0].ravel(), minlength=len(scene.kinds))
    cells = [area for area, kind in zip(areas, scene.kinds, strict=True) if area and kind is Kind.TISSUE]
    across = float(np.sqrt(np.mean(cells))) if cells else 1.0
    return int(np.clip(round(across * np.exp(rng.uniform(np.log(0.05), np.log(0.3)))), 1, 10))


def damage(rng: np.random.Generator, image: FloatArray) -> None:
    """Make one slice after the first nearly unreadable: faded, out of focus, or replaced by its neighbour."""
    slice_index = int(rng.integers(1, len(image)))
    choice = rng.choice(("faded", "blurred", "repeated"))
    if choice == "repeated":
        image[slice_index] = image[slice_index - 1]
    elif choice == "blurred":
        image[slice_index] = blur(image[slice_index : slice_index + 1], rng.uniform(1.5, 3))[0]
    else:
        middle, contrast = np.float32(rng.uniform(0.2, 0.8)), np.float32(rng.uniform(0.1, 0.5))
        image[slice_index] = middle + contrast * (image[slice_index] - image[slice_index].mean())
