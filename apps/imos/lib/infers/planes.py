"""Slices across different axes: where they meet, and where they lie in a part of the volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imos_engine.sequence import frames_along
from lib.infers.marks import Mask
from lib.infers.request import Box
from lib.sessions.packed_mask import PackedMask
from lib.sessions.step import HeldSeed

Place = tuple[int, int]  # axis and slice
Slab = tuple[int, int, int]  # axis, first and last slice


def part_of(slab: Slab) -> tuple[slice, ...]:
    """A slab as an index into a volume."""
    axis, first, last = slab
    return tuple(slice(first, last + 1) if one == axis else slice(None) for one in range(3))


def impose(seed: HeldSeed, masks: Mask, slab: Slab, *, adds: bool = False) -> None:
    """Put a seed's mask where its slice crosses a slab; `adds` leaves what is there.

    Shapes: masks as the slab, changed in place.
    """
    axis, first, last = slab
    given = seed.mask.unpack()
    if seed.axis == axis:
        if not first <= seed.index <= last:
            return
        plane = frames_along(masks, axis)[seed.index - first]
    else:
        plane = frames_along(masks, seed.axis)[seed.index]
        given = given[tuple(slice(first, last + 1) if one == axis else slice(None) for one in _others(seed.axis))]
    plane[...] = (plane | given) if adds else given


def agreeing(older: HeldSeed, newer: HeldSeed, *, same: bool) -> HeldSeed:
    """A seed that says the same as a newer one where both slices meet: of the `same` object, or of another one."""
    where_older: tuple[slice | int, ...]
    where_newer: tuple[slice | int, ...]
    if older.axis == newer.axis:
        if older.index != newer.index or same:
            return older
        where_older = where_newer = (slice(None), slice(None))
    else:
        where_older, where_newer = _line(older, newer), _line(newer, older)
    mask, given = older.mask.unpack(), newer.mask.unpack()[where_newer]
    agreed = given if same else mask[where_older] & ~given
    if np.array_equal(mask[where_older], agreed):
        return older
    mask[where_older] = agreed
    return replace(older, mask=PackedMask.of(mask))


def inside_box(box: Box, slab: Slab, shape: tuple[int, ...]) -> Mask:
    """Voxels of a slab of some shape that lie in a box."""
    axis, first, _ = slab
    inside = np.zeros(shape, dtype=bool)
    starts = [first if one == axis else 0 for one in range(3)]
    ends = [(max(box.low[one] - starts[one], 0), max(box.high[one] + 1 - starts[one], 0)) for one in range(3)]
    inside[tuple(slice(low, high) for low, high in ends)] = True
    return inside


def _line(seed: HeldSeed, other: HeldSeed) -> tuple[slice | int, ...]:
    """Where another seed's slice crosses a seed's mask (H, W)."""
    return tuple(other.index if one == other.axis else slice(None) for one in _others(seed.axis))


def _others(axis: int) -> tuple[int, ...]:
    """The axes of a slice across an axis: rows, then columns."""
    return tuple(one for one in range(3) if one != axis)
