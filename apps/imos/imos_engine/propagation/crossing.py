"""Annotated planes that cross: which are there, and which of the masks carried across them counts where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

SPIKE = 3.0  # times as many voxels as on the neighbouring planes: this plane was painted, they are merely crossed
FEWER_PLANES = 2  # several axes explain an annotation only if they need at least so many planes less than one does


def annotated_planes(annotated: Mask, axis: int) -> dict[int, frozenset[int]]:
    """The planes, by axis, on which an annotation was painted slice by slice.

    Shapes: annotated (I, J, K). `axis` is the one along which it touches the fewest planes. Returns only that axis
    unless planes of several axes together hold every voxel and are clearly fewer.
    """
    counts = [annotated.sum(axis=tuple(other for other in range(3) if other != one)) for one in range(3)]
    touched = np.flatnonzero(counts[axis])
    alone = {axis: frozenset(int(index) for index in touched)}
    spiky = [np.flatnonzero(_spikiness(count, count) >= SPIKE) for count in counts]
    if len(touched) <= FEWER_PLANES or not any(map(len, spiky)) or len(spiky[axis]) == len(touched):
        return alone
    points = np.argwhere(annotated)
    found: dict[int, set[int]] = {}
    taken = [np.zeros(side, dtype=np.int64) for side in annotated.shape]  # voxels of the planes found so far
    while len(points):
        counts = [np.bincount(points[:, one], minlength=side) for one, side in enumerate(annotated.shape)]
        spikes = [_spikiness(count, other) for count, other in zip(counts, taken, strict=True)]
        best = max(range(3), key=lambda one: float(spikes[one].max()))
        planes = np.flatnonzero(spikes[best] >= max(SPIKE, float(spikes[best].max()) / 2))
        if not len(planes):
            return alone
        found.setdefault(best, set()).update(int(index) for index in planes)
        taken[best][planes] = counts[best][planes]
        points = points[~np.isin(points[:, best], planes)]
    if len(found) < 2 or sum(map(len, found.values())) > len(alone[axis]) - FEWER_PLANES:
        return alone
    return {one: frozenset(planes) for one, planes in found.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedMask:
    """One object's mask as it was carried along one axis, on a part of the volume."""

    axis: int
    mask: Mask  # (I, J, K)
    confidence: Numbers  # per plane across the axis, 0 to 1; below 0 where nothing was computed
    distance_mm: Numbers  # per plane across the axis, to the nearest annotated one


def surest_mask(carried: Sequence[CarriedMask]) -> Mask:
    """Voxel by voxel the mask of the axis that is surer there; of equally sure ones, that whose seed is nearer."""
    first = carried[0]
    mask = first.mask.copy()
    sureness, distance = (_spread(values, first.axis) for values in (first.confidence, first.distance_mm))
    for other in carried[1:]:
        its_sureness, its_distance = (_spread(values, other.axis) for values in (other.confidence, other.distance_mm))
        wins = (its_sureness > sureness) | ((its_sureness == sureness) & (its_distance < distance))
        mask = np.where(wins, other.mask, mask)
        sureness, distance = np.where(wins, its_sureness, sureness), np.where(wins, its_distance, distance)
    return mask


def distances_mm(annotated: Sequence[int], count: int, spacing_mm: float) -> Numbers:
    """Distance of each of `count` planes to the nearest annotated one, infinite where there is none."""
    if not annotated:
        return np.full(count, np.inf)
    gaps = np.abs(np.arange(count)[:, None] - np.asarray(annotated)[None])
    return np.asarray(gaps.min(axis=1) * spacing_mm, dtype=np.float64)


def by_plane(values: Mapping[int, float], count: int) -> Numbers:
    """Numbers of some planes as an array of `count`, -1 where there is none."""
    spread = np.full(count, -1.0)
    for index, value in values.items():
        spread[index] = value
    return spread


def _spikiness(counts: npt.NDArray[Any], taken: npt.NDArray[Any]) -> Numbers:
    """How many times more voxels a plane holds than the fuller of its neighbours, those found before included."""
    padded = np.pad(np.maximum(counts, taken), 1)
    return np.asarray(counts / np.maximum(np.maximum(padded[:-2], padded[2:]), 1), dtype=np.float64)


def _spread(values: Numbers, axis: int) -> Numbers:
    """Values per plane in a shape that broadcasts over the volume."""
    shape = [1, 1, 1]
    shape[axis] = len(values)
    return values.reshape(shape)
