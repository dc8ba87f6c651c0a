"""One picture deformed at random into many: the clips of the method's first phase."""

from __future__ import annotations

import cv2
import numpy as np

from .anatomy import LabelArray
from .fields import FloatArray

KNOTS = 5  # of the elastic deformation, along each side


def deformed_copies(
    rng: np.random.Generator, picture: FloatArray, labels: LabelArray, frames: int
) -> tuple[FloatArray, LabelArray]:
    """A clip whose frame 0 is the picture and whose other frames are independent deformations of it.

    Shapes: picture (3, H, W) in [0, 1], labels (H, W).
    Returns: frames (T, 3, H, W) in [0, 1], labels (T, H, W).
    """
    channels_last = np.ascontiguousarray(picture.transpose(1, 2, 0))
    copies, masks = [channels_last], [labels]
    usual = tuple(float(value) for value in channels_last.mean((0, 1)))  # for what comes in from beyond the border
    for _ in range(frames - 1):
        map_x, map_y = random_map(rng, labels.shape[1], labels.shape[0])
        copy = cv2.remap(channels_last, map_x, map_y, cv2.INTER_LINEAR, borderValue=usual)
        contrast, brightness = np.exp(rng.normal(0, 0.1)), rng.normal(0, 0.04)
        copies.append(np.clip((copy - 0.5) * np.float32(contrast) + np.float32(0.5 + brightness), 0, 1))
        moved = cv2.remap(labels, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        masks.append(moved.astype(np.uint8, copy=False))
    return np.ascontiguousarray(np.stack(copies).transpose(0, 3, 1, 2), np.float32), np.stack(masks)


def random_map(rng: np.random.Generator, width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """The place (x, y) in pixels that each pixel of a deformed copy shows: turned, scaled, sheared, shifted, bent."""
    angle, scale = rng.normal(0, 0.2), np.exp(rng.normal(0, 0.12))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = (turn @ np.array([[1, rng.normal(0, 0.08)], [0, np.exp(rng.normal(0, 0.08))]])).astype(np.float32)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height))
    shift = rng.normal(0, 0.06, 2)
    strength = rng.uniform(0, 0.03)
    bends = [
        cv2.resize(rng.standard_normal((KNOTS, KNOTS)), (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    ]
    map_x = matrix[0, 0] * x + matrix[0, 1] * y + shift[0] + strength * bends[0] + 0.5
    map_y = matrix[1, 0] * x + matrix[1, 1] * y + shift[1] + strength * bends[1] + 0.5
    return (map_x * (width - 1)).astype(np.float32), (map_y * (height - 1)).astype(np.float32)
