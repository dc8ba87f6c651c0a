"""From marks to seeds: strokes, points and boxes become masks of their slices, masks stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from imos_engine.prompts import SliceSolver, without_overlap
from imos_engine.sequence import Seed
from lib.errors import RequestError
from lib.infers.marks import Mask
from lib.infers.request import Box
from lib.infers.slice_marks import SliceMarks
from lib.sessions.packed_mask import PackedMask
from lib.sessions.step import HeldSeed


@dataclass(frozen=True, kw_only=True)
class SeedReport:
    """One entry of `params.imos.seeds`."""

    slice: int
    axis: int
    label: str
    mode: str  # mask, scribble, points, box or accepted
    pixels: int


@dataclass(kw_only=True)
class SeedPlan:
    """What a reply says of its seeds."""

    axis: int
    seeds: list[Seed] = field(default_factory=list)  # on slices across the axis, with the ids of the reply
    reports: list[SeedReport] = field(default_factory=list)  # of all axes


@dataclass(frozen=True, kw_only=True, eq=False)
class MarkedSlice:
    """One slice with new marks of some objects, and what is known there."""

    axis: int
    index: int
    marks: Sequence[SliceMarks]
    image: npt.NDArray[np.float32]  # (H, W) or (H, W, 3), normalised
    masks: Mapping[str, Mask]  # (H, W) by object: where it is at present; an object that is not known yet is left out
    box: Box | None  # nothing is outside it


def solve_slice(
    marked: MarkedSlice, solve: SliceSolver, warnings: list[str], taken: Mask | None = None
) -> dict[str, HeldSeed]:
    """The seeds of every object marked on a slice; where two meet, painted ones win, else the likelier.

    Shapes: taken (H, W), pixels that belong to others. Marks that give nothing are left out, with one more of the
    `warnings`.

    Raises:
        RequestError: marks that contradict each other.
    """
    index = marked.index
    painted = {
        one.name: mask for one in marked.marks if one.mode(index) == "mask" and (mask := one.painted(index)) is not None
    }
    others = [one for one in marked.marks if one.name not in painted]
    probabilities = [
        _from_prompts(one, [rival for rival in marked.marks if rival is not one], marked, solve) for one in others
    ]
    labels = np.zeros(marked.image.shape[:2], dtype=np.uint16)
    if others:
        labels[...] = without_overlap(probabilities)
    for number, mask in enumerate(painted.values(), start=len(others) + 1):
        labels[mask] = number
    outside = _outside(marked)
    labels[outside] = 0
    if taken is not None:
        labels[taken] = 0
    seeds = {}
    for number, name in enumerate([*(one.name for one in others), *painted], start=1):
        one = next(found for found in marked.marks if found.name == name)
        mask = labels == number
        if name in marked.masks:
            mask |= marked.masks[name] & outside  # what a region leaves out stays as it is
        if not mask.any() and index in one.positive and name not in marked.masks:
            warnings.append(f"the marks of {name!r} on slice {index} gave an empty mask, and were left out")
            continue
        seeds[name] = HeldSeed(
            axis=marked.axis, index=index, mask=PackedMask.of(mask), mode=one.mode(index), said=one.said(index)
        )
    return seeds


def report_of(name: str, seed: HeldSeed) -> SeedReport:
    """What a reply says of a seed."""
    pixels = int(seed.mask.unpack().sum())
    return SeedReport(slice=seed.index, axis=seed.axis, label=name, mode=seed.mode, pixels=pixels)


def _from_prompts(
    one: SliceMarks, rivals: Sequence[SliceMarks], marked: MarkedSlice, solve: SliceSolver
) -> npt.NDArray[np.float32]:
    """The probability (H, W) that strokes, points and box mean, together with the mask that they correct."""
    index, painted = marked.index, one.painted(marked.index)
    known = marked.masks.get(one.name) if painted is None else painted
    if known is not None and not known.any():
        known = None
    prompts = one.prompts(index, rivals, known)
    if index not in one.positive:
        erased = prompts.scribbles_background
        if known is None or (erased is not None and not (known & ~erased).any()):
            return np.zeros(marked.image.shape[:2], dtype=np.float32)  # told where it is not: nowhere on this slice
    try:
        return solve(marked.image, prompts)
    except ValueError as error:
        raise RequestError(f"the marks of {one.name!r} on slice {index} cannot be used: {error}") from error


def _outside(marked: MarkedSlice) -> Mask:
    """Pixels (H, W) that lie outside the region."""
    outside = np.zeros(marked.image.shape[:2], dtype=bool)
    if marked.box is not None:
        row, column = (axis for axis in range(3) if axis != marked.axis)
        low, high = marked.box.low, marked.box.high
        outside[...] = True
        outside[low[row] : high[row] + 1, low[column] : high[column] + 1] = False
    return outside
