"""Marks as a hurried person might place them around a known mask: clicks, strokes straight or crooked, boxes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Generator = np.random.Generator


def clicks(region: Mask, count: int, random: Generator) -> Mask:
    """Single pixels in a region: spread out or close together, well inside or anywhere; (S, S)."""
    marks = np.zeros(region.shape, dtype=bool)
    for row, column in _places(region, count, random):
        marks[row, column] = True
    return marks


def strokes(region: Mask, count: int, random: Generator) -> Mask:
    """Lines and wandering curves, one to seven pixels wide, that stay in a region; (S, S)."""
    drawn = np.zeros(region.shape, np.uint8)
    reach = float(np.sqrt(np.count_nonzero(region)) * np.exp(random.uniform(np.log(0.15), np.log(1.5))))
    width = int(random.choice([1, 2, 3, 3, 4, 5, 7]))
    starts = _places(region, count, random)
    for start in starts:
        path = _path(region, start, reach, random)
        cv2.polylines(drawn, [path[:, ::-1].astype(np.int32).reshape(-1, 1, 2)], False, [1], width)
    marks = (drawn > 0) & region
    for row, column in starts:
        marks[row, column] = True
    return marks


def surroundings(mask: Mask, random: Generator) -> Mask:
    """Where a person shows that the object has ended: a ring around it, or anything outside; may be empty; (S, S)."""
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    size = np.sqrt(max(np.count_nonzero(mask), 1))
    near = max(2.0, random.uniform(0.03, 0.25) * size)
    far = np.inf if random.random() < 0.2 else near + max(2.0, random.uniform(0.05, 0.4) * size)
    ring: Mask = (outside >= near) & (outside <= far)
    return ring


def box_around(mask: Mask, random: Generator) -> Mask:
    """The inside of a rectangle that holds the mask with up to a fifth of its side to spare; (S, S)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    loose = random.choice([0.05, 0.1, 0.2])
    spare = random.uniform(0, loose, 4)
    height, width = float(np.ptp(rows)), float(np.ptp(columns))
    inside = np.zeros(mask.shape, dtype=bool)
    top, left = max(0, round(rows[0] - spare[0] * height)), max(0, round(columns[0] - spare[1] * width))
    inside[top : round(rows[-1] + spare[2] * height) + 1, left : round(columns[-1] + spare[3] * width) + 1] = True
    return inside


def _places(region: Mask, count: int, random: Generator) -> list[tuple[int, int]]:
    """Points of a region; later ones far from the earlier ones, or in one cluster."""
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    points = np.argwhere(region & (depth >= random.uniform(0, 0.7) * depth.max()))
    chosen = [points[random.integers(len(points))]]
    clustered = random.random() < 0.2
    while len(chosen) < count:
        distance = np.min([np.hypot(*(points - place).T) for place in chosen], axis=0)
        allowed = distance <= np.quantile(distance, 0.25) if clustered else distance >= np.quantile(distance, 0.7)
        candidates = points[allowed]
        chosen.append(candidates[random.integers(len(candidates))])
    return [(int(row), int(column)) for row, column in chosen]


def _path(region: Mask, start: tuple[int, int], reach: float, random: Generator) -> NDArray[np.float64]:
    """A walk (N, 2) of about `reach` pixels whose direction drifts; it ends where it would leave the region."""
    bend = random.choice([0.0, 0.1, 0.3])
    direction = random.uniform(0, 2 * np.pi)
    turns = direction + np.cumsum(random.normal(0, bend, max(2, int(reach))))
    steps = np.cumsum(np.stack([np.sin(turns), np.cos(turns)], axis=1), axis=0)
    path = np.concatenate([[start], np.array(start) + steps])
    places = np.clip(path.round().astype(int), 0, np.array(region.shape) - 1)
    left = ~region[places[:, 0], places[:, 1]] | (places != path.round()).any(axis=1)
    return path[: max(1, int(left.argmax()))] if left.any() else path
