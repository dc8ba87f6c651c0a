"""A slice with organs whose outlines are known."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def ellipse(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    rows, columns = np.indices(shape)
    return ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1


def slice_with_organs(
    shape: tuple[int, int] = (160, 200), *, noise: float = 8.0, colour: bool = False, contrast: float = 60.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A noisy slice, and the masks of two organs of equal brightness in darker tissue, in a body on black ground."""
    scale = np.array(shape) / (160, 200)
    body = ellipse(shape, scale * (80, 100), scale * (70, 90))
    organ = ellipse(shape, scale * (70, 70), scale * (32, 24))
    other = ellipse(shape, scale * (85, 135), scale * (25, 25))
    image = 100.0 * body + contrast * (organ | other)
    generator = np.random.default_rng(0)
    image = ndimage.gaussian_filter(image, 0.7) + generator.normal(0, noise, shape)
    return (np.stack([image, 0.5 * image, 80 - 0.2 * image], axis=2) if colour else image), organ, other


def stroke(shape: tuple[int, int], start: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """A straight stroke, three pixels wide."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
    rows, columns = (
        np.linspace(first, last, steps).round().astype(int) for first, last in zip(start, end, strict=True)
    )
    drawn = np.zeros(shape, dtype=bool)
    drawn[rows, columns] = True
    return ndimage.binary_dilation(drawn, np.ones((3, 3)))
