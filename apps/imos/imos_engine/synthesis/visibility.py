"""Can a person see the object in the picture? Objects that nobody can follow teach nothing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .anatomy import LabelArray
from .fields import FloatArray

ENOUGH = 0.9  # chosen by looking at clips sorted by visibility: below it most outlines cannot be guessed


def visible_objects(picture: FloatArray, labels: LabelArray) -> list[int]:
    """Labels whose outline or brightness stands out in one picture (H, W) or (H, W, 3); labels (H, W)."""
    present = range(1, int(labels.max()) + 1)
    steepness = gradient(picture)
    return [label for label in present if visibility(picture, steepness, labels == label) >= ENOUGH]


def visibility(picture: FloatArray, steepness: FloatArray, mask: NDArray[np.bool_]) -> float:
    """How much steeper the outline is than its surroundings, plus inside against outside in standard deviations."""
    inside = mask.astype(np.uint8)
    outline = cv2.dilate(inside, square(3)) != cv2.erode(inside, square(3))
    far = cv2.dilate(outline.astype(np.uint8), square(5)) == 0
    around = (cv2.dilate(inside, square(13)) > 0) & far
    outside = (cv2.dilate(inside, square(9)) > 0) & ~mask
    if not outline.any() or not outside.any():
        return 0.0
    usual = float(np.median(steepness[around])) if around.any() else 0.0
    edge = float(steepness[outline].mean()) / (usual + 2e-3) - 1
    spread = np.sqrt(picture[mask].var(0) + picture[outside].var(0) + 1e-6)
    contrast = float(np.max(np.abs(picture[mask].mean(0) - picture[outside].mean(0)) / spread))
    return edge + contrast


def gradient(picture: FloatArray) -> FloatArray:
    """Length of the slightly blurred picture's gradient over all channels, (H, W)."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
    squares = cv2.Sobel(soft, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(soft, cv2.CV_32F, 0, 1) ** 2
    return np.asarray(np.sqrt(squares.sum(-1) if picture.ndim == 3 else squares), np.float32)


def square(width: int) -> LabelArray:
    """Structuring element of this many pixels along each side."""
    return np.ones((width, width), np.uint8)
