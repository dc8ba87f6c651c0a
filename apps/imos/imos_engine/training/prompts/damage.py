"""Masks that are almost right: what a first look or an earlier answer leaves to be corrected."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]
Generator = np.random.Generator


def blurred_guess(mask: Mask, random: Generator) -> Pixels:
    """A probability (S, S) whose outline wavers around that of the mask, as a network's on a coarse view does."""
    size = float(np.sqrt(max(np.count_nonzero(mask), 1)))
    waver = smooth_noise(mask.shape, max(2.0, size * random.uniform(0.15, 0.6)), random)
    offset = random.normal(0, 0.06) * size
    amplitude = size * abs(random.normal(0, 0.12))
    softness = max(0.5, size * random.uniform(0.01, 0.08))
    level = signed_distance(mask) + offset + amplitude * waver
    return np.asarray(1 / (1 + np.exp(np.clip(-level / softness, -30, 30))), np.float32)


def with_wrong_part(mask: Mask, random: Generator) -> Mask:
    """The mask (S, S) with a part missing, a part too many, or both."""
    wrong = mask.copy()
    kind = random.choice(["missing", "added", "both"], p=[0.4, 0.4, 0.2])
    outline = mask != (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    places = np.argwhere(outline if outline.any() else mask)
    size = float(np.sqrt(max(np.count_nonzero(mask), 1)))
    if kind != "added":
        wrong &= ~_patch(mask.shape, places, size * random.uniform(0.15, 0.7), random)
    if kind != "missing":
        wrong |= _patch(mask.shape, places, size * random.uniform(0.15, 0.6), random)
    return wrong


def signed_distance(mask: Mask) -> Pixels:
    """Pixels to the outline, positive inside; (S, S)."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    limit = np.float32(sum(mask.shape))  # a mask without inside or outside has no finite distance
    return np.minimum(inside, limit) - np.minimum(outside, limit)


def smooth_noise(shape: tuple[int, ...], wavelength: float, random: Generator) -> Pixels:
    """Gaussian noise of unit variance that varies over `wavelength` pixels; (S, S)."""
    cells = max(4, int(np.ceil(max(shape) / wavelength)) + 2)
    noise = random.standard_normal((cells, cells)).astype(np.float32)
    smooth = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), np.float32)


def _patch(shape: tuple[int, ...], places: NDArray[np.intp], radius: float, random: Generator) -> Mask:
    """A ragged disk around a random one of the places."""
    row, column = places[random.integers(len(places))]
    rows, columns = np.indices(shape, dtype=np.float32)
    ragged = 1 + np.float32(0.25) * smooth_noise(shape, max(3.0, radius / 2), random)
    patch: Mask = np.hypot(rows - row, columns - column) < radius * ragged
    return patch
