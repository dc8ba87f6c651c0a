"""What a person marked on one slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]
Point = tuple[int, int]  # (row, column), 0-based
Box = tuple[int, int, int, int]  # (first row, first column, last row, last column), both corners included


@dataclass(frozen=True, kw_only=True, eq=False)
class SlicePrompts:
    """Marks of one object on one (H, W) slice; any combination, as long as something tells where the object is."""

    foreground: Sequence[Point] = ()  # clicks on the object
    background: Sequence[Point] = ()  # clicks beside it
    scribbles_foreground: Mask | None = None  # (H, W), true where a stroke marks the object
    scribbles_background: Mask | None = None  # (H, W), true where a stroke marks what is not the object
    box: Box | None = None  # nothing outside belongs to the object
    mask: Mask | None = None  # (H, W), the object as known so far; the other prompts correct it


@dataclass(frozen=True, kw_only=True, eq=False)
class Marks:
    """Prompts drawn on the slice: every pixel that is known to belong to the object, or not to."""

    foreground: Mask  # (H, W)
    background: Mask  # (H, W)
    allowed: Mask  # (H, W), inside the box; everywhere without one

    @property
    def inside(self) -> Mask:
        """Marked foreground that no background mark takes back."""
        return self.foreground & ~self.background & self.allowed


def draw_marks(shape: tuple[int, int], prompts: SlicePrompts) -> Marks:
    """Draw clicks, strokes and the box on a slice of `shape`.

    Raises:
        ValueError: a mark lies outside the slice or is on another grid, or nothing tells where the object is.
    """
    foreground = _strokes(shape, prompts.scribbles_foreground, "foreground scribbles")
    background = _strokes(shape, prompts.scribbles_background, "background scribbles")
    _click(foreground, prompts.foreground)
    _click(background, prompts.background)
    allowed = _inside_box(shape, prompts.box)
    marks = Marks(foreground=foreground, background=background, allowed=allowed)
    has_mask = prompts.mask is not None and _strokes(shape, prompts.mask, "previous mask").any()
    if foreground.any() and not marks.inside.any():
        raise ValueError("every foreground mark is outside the box or under a background mark; mark the object itself")
    if not (foreground.any() or has_mask or prompts.box is not None):
        raise ValueError("nothing marks the object on this slice; add a foreground point or stroke, a box or a mask")
    return marks


def _strokes(shape: tuple[int, int], strokes: NDArray[Any] | None, name: str) -> Mask:
    if strokes is None:
        return np.zeros(shape, dtype=bool)
    if strokes.shape != shape:
        raise ValueError(
            f"{name} have shape {strokes.shape} but the slice is {shape}; draw them on the slice's own grid"
        )
    return strokes.astype(bool)


def _click(marks: Mask, points: Sequence[Point]) -> None:
    height, width = marks.shape
    for row, column in points:
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(f"point ({row}, {column}) lies outside the slice of {height} x {width} pixels")
        marks[row, column] = True


def _inside_box(shape: tuple[int, int], box: Box | None) -> Mask:
    allowed = np.zeros(shape, dtype=bool)
    top, left, bottom, right = box or (0, 0, shape[0] - 1, shape[1] - 1)
    if not (0 <= top <= bottom < shape[0] and 0 <= left <= right < shape[1]):
        raise ValueError(
            f"box ({top}, {left}, {bottom}, {right}) does not fit the slice of {shape[0]} x {shape[1]} pixels; "
            "give (first row, first column, last row, last column) within it"
        )
    allowed[top : bottom + 1, left : right + 1] = True
    return allowed


def slice_pixels(image: NDArray[Any]) -> Pixels:
    """A slice (H, W) or (H, W, 3) as finite (H, W, C) float32.

    Raises:
        ValueError: the image is no slice.
    """
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(f"a slice must be (H, W) or (H, W, 3), got shape {image.shape}")
    if image.size == 0:
        raise ValueError(f"a slice of shape {image.shape} holds no pixel")
    values = np.asarray(image, dtype=np.float32).reshape(*image.shape[:2], -1)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, values[finite].min() if finite.any() else 0.0)
