"""Prompts as a person would place them on a slice whose true mask is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line

from imos_engine.intensity import automatic_intensity
from imos_engine.prompts import SlicePrompts
from imos_engine.prompts.slice_prompts import draw_marks

Mask = NDArray[np.bool_]
Point = tuple[int, int]
Generator = np.random.Generator

LEAST_PIECE = 0.05  # share of an object that a piece must have to be noticed


def largest_component(mask: Mask) -> Mask:
    """The largest 4-connected piece: what one organ's prompts are about."""
    return next(iter(_pieces(mask)), mask)


def clicks_inside(mask: Mask, count: int, generator: Generator) -> list[Point]:
    """Points well inside the mask and far from each other, as a person spreads them."""
    depth = _depth(mask)
    allowed = np.argwhere(depth >= max(1.0, 0.35 * depth.max()))
    clicks = [_any(np.argwhere(depth >= 0.7 * depth.max()), generator)]
    while len(clicks) < count:
        distance = np.min([np.hypot(*(allowed - click).T) for click in clicks], axis=0)
        clicks.append(_any(allowed[distance >= np.quantile(distance, 0.85)], generator))
    return clicks


def strokes_inside(mask: Mask, count: int, generator: Generator) -> Mask:
    """Short straight strokes, three pixels wide where the mask has room, that stay inside.

    An object in several pieces gets one in each, the largest first, and what is left over in the largest.
    """
    least = LEAST_PIECE * np.count_nonzero(mask)
    pieces = [piece for piece in _pieces(mask) if np.count_nonzero(piece) >= least][:count]
    strokes = np.zeros_like(mask)
    for number, piece in enumerate(pieces):
        strokes |= _strokes_in_piece(piece, 1 if number else count - len(pieces) + 1, generator)
    return strokes


def _pieces(mask: Mask) -> list[Mask]:
    """The 4-connected pieces of a mask, the largest first."""
    pieces, count = ndimage.label(mask)
    return sorted((pieces == number for number in range(1, count + 1)), key=np.count_nonzero, reverse=True)


def _strokes_in_piece(mask: Mask, count: int, generator: Generator) -> Mask:
    depth = _depth(mask)
    reach = 0.5 * np.sqrt(mask.sum())
    strokes = np.zeros_like(mask)
    for start in clicks_inside(mask, count, generator):
        inside = np.argwhere(depth >= max(1.0, 0.3 * depth.max()))
        ends = inside[np.hypot(*(inside - start).T) <= reach]
        paths = [line(*start, *_any(ends, generator)) for _ in range(20)]
        kept = [path for path in paths if mask[path].all()]
        strokes[max(kept, key=lambda path: len(path[0])) if kept else start] = True
    return ndimage.binary_dilation(strokes, np.ones((3, 3), bool)) & mask


def clicks_outside(mask: Mask, count: int, generator: Generator) -> list[Point]:
    """Points in a ring around the mask, where a person shows that the object has ended."""
    ring = np.argwhere(_ring(mask))
    return [_any(ring, generator) for _ in range(count)]


def stroke_outside(mask: Mask, generator: Generator) -> Mask:
    """A stroke along a quarter of the ring around the mask."""
    ring = _ring(mask, width=0.06)
    rows, columns = np.indices(mask.shape)
    centre = ndimage.center_of_mass(mask)
    angle = np.arctan2(rows - centre[0], columns - centre[1])
    turn = (angle - generator.uniform(-np.pi, np.pi) + np.pi) % (2 * np.pi) - np.pi
    sector = ring & (np.abs(turn) < np.pi / 4)
    return sector if sector.any() else ring


def box_around(mask: Mask, generator: Generator) -> tuple[int, int, int, int]:
    """A bounding box with up to a tenth of its side to spare on every side; both corners included."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    ends = np.array([rows[0], columns[0], rows[-1], columns[-1]], float)
    side = np.array([np.ptp(rows), np.ptp(columns)] * 2)
    ends += np.array([-1, -1, 1, 1]) * generator.uniform(0.0, 0.1, 4) * side
    limits = np.array([*mask.shape, *mask.shape]) - 1
    top, left, bottom, right = (int(end) for end in np.clip(ends.round(), 0, limits))
    return top, left, bottom, right


def mask_with_a_gap(mask: Mask, generator: Generator) -> tuple[Mask, Point]:
    """The mask without what lies beyond a straight cut, about a quarter of it, and a click in what is missing."""
    rows, columns = np.nonzero(mask)
    angle = generator.uniform(-np.pi, np.pi)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    cut = along >= np.quantile(along, 0.75)
    missing = np.zeros_like(mask)
    missing[rows[cut], columns[cut]] = True
    return mask & ~missing, clicks_inside(largest_component(missing), 1, generator)[0]


def mask_with_an_excess(mask: Mask, generator: Generator) -> tuple[Mask, Point]:
    """The mask with a disk too many, at its outline and about a quarter as large, and a click in what is too many."""
    outline = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    centre = _any(outline, generator)
    rows, columns = np.indices(mask.shape)
    radius = max(3.0, 0.4 * np.sqrt(mask.sum()))
    excess = (np.hypot(rows - centre[0], columns - centre[1]) < radius) & ~mask
    if not excess.any():
        excess = ndimage.binary_dilation(mask, iterations=3) & ~mask
    return mask | excess, clicks_inside(largest_component(excess), 1, generator)[0]


def _filling(mask: Mask, generator: Generator) -> SlicePrompts:
    previous, click = mask_with_a_gap(mask, generator)
    return SlicePrompts(mask=previous, foreground=[click])


def _trimming(mask: Mask, generator: Generator) -> SlicePrompts:
    previous, click = mask_with_an_excess(mask, generator)
    return SlicePrompts(mask=previous, background=[click])


def as_served(images: NDArray[Any], index: int, prompts: SlicePrompts) -> NDArray[np.float32]:
    """The slice as the app shows it to the solver of prompts: in the window that suits what was marked.

    Shapes: images (T, H, W) or (T, H, W, 3). Returns: (H, W) or (H, W, 3).
    """
    marks = draw_marks(images.shape[1:3], prompts)
    object_pixels = marks.inside if prompts.mask is None else marks.inside | prompts.mask
    marked = np.zeros(images.shape[:3], bool)
    marked[index] = object_pixels if object_pixels.any() else marks.allowed
    return automatic_intensity(images, marked).apply(images[index])


KINDS: dict[str, Callable[[Mask, Generator], SlicePrompts]] = {
    "3 strokes": lambda mask, rng: SlicePrompts(scribbles_foreground=strokes_inside(mask, 3, rng)),
    "2 + 1 strokes": lambda mask, rng: SlicePrompts(
        scribbles_foreground=strokes_inside(mask, 2, rng), scribbles_background=stroke_outside(mask, rng)
    ),
    "3 clicks": lambda mask, rng: SlicePrompts(foreground=clicks_inside(mask, 3, rng)),
    "2 + 1 clicks": lambda mask, rng: SlicePrompts(
        foreground=clicks_inside(mask, 2, rng), background=clicks_outside(mask, 1, rng)
    ),
    "1 click": lambda mask, rng: SlicePrompts(foreground=clicks_inside(mask, 1, rng)),
    "box": lambda mask, rng: SlicePrompts(box=box_around(mask, rng)),
    "box + click": lambda mask, rng: SlicePrompts(box=box_around(mask, rng), foreground=clicks_inside(mask, 1, rng)),
    "fill + click": _filling,
    "trim + click": _trimming,
}


def _depth(mask: Mask) -> NDArray[np.floating]:
    """Distance of every pixel of the mask to its outside, in pixels; the image border counts as outside."""
    depth: NDArray[np.floating] = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth


def _ring(mask: Mask, *, width: float = 0.15) -> Mask:
    """Pixels at 0.1 to 0.1 + `width` of the square root of the area from the mask, at least 2 pixels away."""
    distance = ndimage.distance_transform_edt(~mask)
    near = max(2.0, 0.1 * np.sqrt(mask.sum()))
    ring: Mask = (distance >= near) & (distance <= near + max(1.5, width * np.sqrt(mask.sum())))
    return ring


def _any(points: NDArray[np.integer], generator: Generator) -> Point:
    row, column = points[generator.integers(len(points))]
    return int(row), int(column)
