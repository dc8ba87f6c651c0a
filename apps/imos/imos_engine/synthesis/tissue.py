"""Brightness and texture of each region, from a small palette so that most regions look alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy, Group, Kind, LabelArray, in_group
from .fields import FloatArray


@dataclass(kw_only=True)
class Looks:
    """How each region looks; arrays over regions."""

    mean: FloatArray  # brightness in [0, 1]
    fine: FloatArray  # amplitude of the first texture
    coarse: FloatArray  # amplitude of the second texture


def draw_looks(rng: np.random.Generator, kinds: list[Kind], *, span: float, grain: float) -> Looks:
    """Give each region one of a few tissues whose brightness lies within `span`, with little variation inside one."""
    tissues = int(rng.integers(2, 6))
    centre = rng.uniform(span / 2 + 0.1, 0.95 - span / 2)
    palette = centre + span * (rng.permutation(tissues) / (tissues - 1) - 0.5)
    fine, coarse = grain * rng.uniform(0, 1, tissues), grain * rng.uniform(0, 1, tissues)
    tissue = rng.integers(0, tissues, len(kinds))
    mean = palette[tissue] + 0.02 * span * rng.standard_normal(len(kinds))
    looks = Looks(
        mean=mean.astype(np.float32), fine=fine[tissue].astype(np.float32), coarse=coarse[tissue].astype(np.float32)
    )
    for region, kind in enumerate(kinds):
        if kind in (Kind.AIR, Kind.VOID):
            looks.mean[region], looks.fine[region], looks.coarse[region] = rng.uniform(0, 0.08), 0, 0
    return looks


def dye_bones(looks: Looks, kinds: list[Kind], *, cortex: float, marrow: float) -> None:
    """Give all bones of a scene the same brightness, outside and inside."""
    for region, kind in enumerate(kinds):
        if kind in (Kind.BONE, Kind.MARROW):
            looks.mean[region] = cortex if kind is Kind.BONE else marrow


def copy_looks(looks: Looks, lookalikes: dict[int, int]) -> None:
    """Make each look-alike region look exactly like the region that it resembles."""
    for region, original in lookalikes.items():
        for values in (looks.mean, looks.fine, looks.coarse):
            values[region] = values[original]


def separate(rng: np.random.Generator, looks: Looks, regions: LabelArray, chosen: list[Group], contrast: float) -> None:
    """Change the brightness of chosen objects until at most half of each outline borders on equal brightness."""
    reach = np.ones((5, 5), np.uint8)
    for group in chosen:
        inside = in_group(regions[0], group).astype(np.uint8)
        ring = (cv2.dilate(inside, reach) > 0) & (inside == 0)
        shares = np.bincount(regions[0][ring], minlength=len(looks.mean)) / max(int(ring.sum()), 1)
        own = np.bincount(regions[0][inside > 0], minlength=len(looks.mean))
        current = float((own * looks.mean).sum() / own.sum())
        options = np.concatenate([[current], rng.permutation(looks.mean), rng.uniform(0.05, 0.95, 12)])
        clashes = np.array([shares[np.abs(looks.mean - option) < contrast].sum() for option in options])
        acceptable = np.flatnonzero(clashes <= 0.5)
        best = int(acceptable[0]) if len(acceptable) else int(clashes.argmin())
        if best > 0:
            looks.mean[list(group)] += np.float32(options[best] - current)


def paint_tissue(regions: LabelArray, looks: Looks, fine: FloatArray, coarse: FloatArray) -> FloatArray:
    """Brightness (T, H, W) of the tissue without anything the camera adds."""
    image = looks.mean[regions]
    image += looks.fine[regions] * fine
    image += looks.coarse[regions] * coarse
    return np.asarray(image, np.float32)


def outlines(regions: LabelArray, width: int) -> NDArray[np.bool_]:
    """Pixels within `width` pixels of a boundary between regions, (T, H, W)."""
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width + 1, width + 1))
    return np.stack([cv2.dilate(frame, reach) != cv2.erode(frame, reach) for frame in regions])


def is_kind(scene: Anatomy, *kinds: Kind) -> NDArray[np.bool_]:
    """Pixels whose region is of one of these kinds, (T, H, W)."""
    table = np.zeros(256, bool)
    table[[region for region, kind in enumerate(scene.kinds) if kind in kinds]] = True
    return table[scene.regions]
