"""From the marks on one slice to the object's mask on that slice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .appearance import model_appearance
from .outline import settle_outline
from .reduction import Reduction
from .regions import STEP_COSTS, SizePrior, best_region, distances_from, paths_between, travel_costs
from .slice_prompts import Marks, SlicePrompts, draw_marks, slice_pixels

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

COARSE_PIXELS = 192  # longer side of the view in which the object is found
FINE_PIXELS = 320  # longer side of the view around it in which its outline is settled
CLICK_SPAN = 4.0  # pixels; marks within it are one click


def segment_slice(image: NDArray[Any], prompts: SlicePrompts) -> Mask:
    """Mask of the object that was marked on a slice.

    Foreground marks belong to the mask, background marks and everything outside the box do not. A previous mask alone
    comes back as it is; with further marks it is corrected by them.

    Args:
        image: (H, W) grey or (H, W, 3) colour, any number type and scale.
        prompts: what was marked on this slice.

    Returns:
        (H, W) mask.

    Raises:
        ValueError: the image is no slice, a mark lies outside it, or nothing tells where the object is.
    """
    pixels = slice_pixels(image)
    marks = draw_marks(_plane(pixels), prompts)
    if prompts.mask is None:
        return _from_marks(pixels, marks)
    return _corrected(pixels, prompts.mask.astype(bool), marks)


def _from_marks(pixels: Pixels, marks: Marks) -> Mask:
    """Find the object in a coarse view of the slice, then settle its outline in a fine view around it."""
    view = Reduction.to_fit(_surroundings(marks), _plane(pixels), pixels=COARSE_PIXELS)
    region = view.restore_mask(_find(view.reduce_image(pixels), view.reduce_marks(marks)))
    view = Reduction.to_fit(_box_of(region | marks.inside, margin=0.3), _plane(pixels), pixels=FINE_PIXELS)
    known = view.reduce_marks(marks)
    settled = settle_outline(
        view.reduce_mask(region),
        view.reduce_image(pixels),
        inside=known.inside,
        outside=known.background | ~known.allowed,
    )
    mask = (view.restore_mask(settled) | marks.inside) & marks.allowed & ~marks.background
    return pieces_with(marks.inside, mask) if marks.inside.any() else mask


def _find(pixels: Pixels, marks: Marks) -> Mask:
    if not marks.inside.any():
        marks = replace(marks, foreground=_middle_of(marks.allowed))
    rough = model_appearance(pixels, marks.inside)
    joined = paths_between(marks.inside, travel_costs(rough, step_cost=STEP_COSTS[-1]))
    return best_region(model_appearance(pixels, joined), marks, _size_prior(marks))


def _surroundings(marks: Marks) -> tuple[int, int, int, int]:
    """Where the object may reach: around the box, in a wide window around several marks, anywhere around one click."""
    if not marks.allowed.all():
        return _box_of(marks.allowed, margin=0.25)
    if _span(marks.inside) < CLICK_SPAN:
        return _box_of(marks.allowed, margin=0.0)
    return _box_of(marks.inside | marks.background, margin=3.0, least=48)


def _size_prior(marks: Marks) -> SizePrior:
    """A box is a little larger than its object; marks are spread over theirs; one click says nothing but: not all."""
    if not marks.allowed.all():
        return SizePrior(area=0.6 * np.count_nonzero(marks.allowed), tolerance=1.4, weight=0.3)
    span, reach = _span(marks.inside), _nearest(marks.inside, marks.background)
    if span < CLICK_SPAN and reach is None:
        return SizePrior(area=0.02 * marks.allowed.size, tolerance=6.0, weight=0.06)
    # A person places a background mark not far beyond the edge.
    return SizePrior(area=max(span, reach or 0.0) ** 2, tolerance=math.e, weight=0.15)


def _span(marks: Mask) -> float:
    """Diagonal of the marks' bounding box, in pixels."""
    rows, columns = np.nonzero(marks)
    return 1 + math.hypot(np.ptp(rows), np.ptp(columns)) if rows.size else 0.0


def _nearest(marks: Mask, others: Mask) -> float | None:
    """Smallest distance between two sets of marks, in pixels; None if one is empty."""
    if not marks.any() or not others.any():
        return None
    return float(ndimage.distance_transform_edt(~marks)[others].min())


def _corrected(pixels: Pixels, mask: Mask, marks: Marks) -> Mask:
    """The previous mask, grown by what was marked outside it and cut back by what was marked as background."""
    corrected = mask & marks.allowed
    added = marks.inside & ~mask
    if added.any():
        grown = Marks(foreground=added, background=marks.background, allowed=marks.allowed)
        corrected |= _from_marks(pixels, grown)
    if (marks.background & corrected).any():
        corrected &= ~_taken_back(pixels, corrected, marks)
    return (corrected | marks.inside) & ~marks.background


def _taken_back(pixels: Pixels, mask: Mask, marks: Marks) -> Mask:
    """The part of the mask that looks like, and is nearer to, background marks than the core that remains."""
    view = Reduction.to_fit(_box_of(mask, margin=0.1), _plane(pixels), pixels=COARSE_PIXELS)
    small, small_marks = view.reduce_mask(mask), view.reduce_marks(marks)
    wrong = small_marks.background
    depth = ndimage.distance_transform_edt(small)
    from_wrong = ndimage.distance_transform_edt(~wrong)
    keep = small_marks.inside | ((depth >= 0.6 * depth.max()) & (from_wrong > 0.5 * depth.max()) & ~wrong)
    costs = travel_costs(model_appearance(view.reduce_image(pixels), wrong), step_cost=STEP_COSTS[-1])
    back: Mask = distances_from(wrong, costs) < distances_from(keep, costs)
    return view.restore_mask(back) & mask


def pieces_with(marks: Mask, mask: Mask) -> Mask:
    """The connected pieces of a mask that hold a mark, without holes that no mark made."""
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    kept: Mask = np.isin(pieces, np.unique(pieces[marks & mask])) & mask
    return kept


def _middle_of(allowed: Mask) -> Mask:
    """The middle of a box, a third as wide and high: almost surely object."""
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    middle = np.zeros_like(allowed)
    middle[np.ix_(_middle_third(rows), _middle_third(columns))] = True
    return middle


def _middle_third(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    third = len(indices) // 3
    return indices[third : len(indices) - third]


def _box_of(mask: Mask, *, margin: float, least: int = 4) -> tuple[int, int, int, int]:
    """Rows and columns (first, first, end, end) of a mask, widened by a share of its longer side or by `least`."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    wider = max(least, math.ceil(margin * max(np.ptp(rows), np.ptp(columns))))
    height, width = mask.shape
    return (
        max(0, int(rows[0]) - wider),
        max(0, int(columns[0]) - wider),
        min(height, int(rows[-1]) + 1 + wider),
        min(width, int(columns[-1]) + 1 + wider),
    )


def _plane(pixels: Pixels) -> tuple[int, int]:
    """Height and width."""
    return pixels.shape[0], pixels.shape[1]
