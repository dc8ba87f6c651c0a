"""Shapes as level functions: an array (T, H, W) that is below 1 inside the shape; and partitions of the whole frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fields import Coordinates, FloatArray, refined, slow_paths

LARGE = 0.035  # frame widths, half the smaller width of a shape
Centre = tuple[float, float]  # x, y in frame widths


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a shape changes along the sequence."""

    correlation: float = 20.0  # slices
    drift: float = 0.02  # frame widths, standard deviation of the centre
    spin: float = 0.1  # radians
    swelling: float = 0.1  # natural logarithm of the radius
    middle: float = 0.0  # slice where the shape is largest
    half_length: float = np.inf  # slices from the middle to the end


def blob(
    rng: np.random.Generator,
    at: Coordinates,
    *,
    centre: Centre,
    radius: float,
    elongation: float,
    course: Course,
    power: int = 2,
) -> FloatArray:
    """A (super-)ellipsoid that drifts, turns, swells and ends; radius in frame widths is the geometric mean."""
    paths = slow_paths(rng, at.positions, course.correlation, 4)
    angle = rng.uniform(0, np.pi) + course.spin * paths[:, 0]
    grown = radius * np.exp(course.swelling * paths[:, 1])
    profile = 1 - ((at.positions - course.middle) / course.half_length) ** 2
    grown = grown * np.sqrt(np.maximum(profile, 1e-9))
    stretch = np.sqrt(elongation)
    large = radius / stretch > LARGE  # curved so little that half the pixels suffice
    x0, y0 = centre[0] + course.drift * paths[:, 2], centre[1] + course.drift * paths[:, 3]
    u, v = turned(*(at.coarse if large else (at.x, at.y)), x0, y0, angle)
    u /= as_column(grown * stretch)
    v /= as_column(grown / stretch)
    level = u * u + v * v if power == 2 else np.abs(u) ** power + np.abs(v) ** power
    return refined(level, at.x.shape[2], at.x.shape[1]) if large else np.asarray(level, np.float32)


def turned(
    x: FloatArray, y: FloatArray, x0: FloatArray, y0: FloatArray, angle: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Coordinates along and across an axis through (x0, y0), each given per frame (T,), of places (T, H, W)."""
    cosine, sine = as_column(np.cos(angle)), as_column(np.sin(angle))
    x, y = x - as_column(x0), y - as_column(y0)
    return np.asarray(cosine * x + sine * y, np.float32), np.asarray(cosine * y - sine * x, np.float32)


def rod(
    rng: np.random.Generator,
    at: Coordinates,
    *,
    centre: Centre,
    angle: float,
    width: float,
    course: Course,
    retreat: FloatArray | float = 0.0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A straight half-infinite rod with its tip near the centre, drawn back by `retreat` (T,) frame widths.

    Returns: level function, offset across the rod in half widths, offset along it in widths, each (T, H, W).
    """
    paths = slow_paths(rng, at.positions, course.correlation, 3)
    turn = angle + course.spin * paths[:, 0]
    tip_x = centre[0] + course.drift * paths[:, 1] + retreat * np.cos(turn)
    tip_y = centre[1] + course.drift * paths[:, 2] + retreat * np.sin(turn)
    u, v = turned(at.x, at.y, tip_x, tip_y, turn)
    across, along = v / np.float32(width / 2), u / np.float32(width)
    taper = 1 + np.maximum(0, np.float32(1.5) - along) * np.float32(rng.uniform(0, 0.8))
    return np.where(u > 0, np.abs(across) * taper, np.float32(9)).astype(np.float32), across, along


def cell_centres(rng: np.random.Generator, positions: FloatArray, count: int, depth: float) -> FloatArray:
    """Random centres (count, 3) of cells in and around the frame: x, y and depth, all in frame widths."""
    first, last = float(positions.min()) / depth, float(positions.max()) / depth
    return rng.uniform((-0.25, -0.25, first - 0.3), (1.25, 1.25, last + 0.3), (count, 3)).astype(np.float32)


def cells(
    rng: np.random.Generator, at: Coordinates, *, centres: FloatArray, depth: float, sway: tuple[FloatArray, FloatArray]
) -> NDArray[np.uint8]:
    """A three-dimensional Voronoi partition (T, H, W): the row of the centre that each pixel belongs to, at most 255.

    `depth` slices weigh as one frame width; `sway` (two arrays (T, H, W), frame widths, along x and y) bends the walls.
    """
    count = len(centres)
    bonus = rng.uniform(0, 0.3, count).astype(np.float32) / np.float32(count)
    plane = np.empty((3, count), np.float32)
    plane[:2] = -2 * centres[:, :2].T
    place = np.ones((*at.x.shape[1:], 3), np.float32)
    result = np.empty(at.x.shape, np.uint8)
    for frame, position in enumerate(at.positions):
        plane[2] = (centres[:, :2] ** 2).sum(1) + (centres[:, 2] - position / np.float32(depth)) ** 2 - bonus
        np.add(at.x[frame], sway[0][frame], out=place[..., 0])
        np.add(at.y[frame], sway[1][frame], out=place[..., 1])
        result[frame] = (place.reshape(-1, 3) @ plane).argmin(1).reshape(at.x.shape[1:])
    return result


def as_column(values: NDArray[np.floating[Any]]) -> FloatArray:
    """(T,) -> (T, 1, 1) float32."""
    return np.asarray(values, np.float32)[:, None, None]
