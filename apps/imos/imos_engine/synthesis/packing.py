"""Packed cells: a frame without gaps between neurites, cell bodies and lobules, with organelles inside them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy, Group, Kind, blank
from .bodies import random_blob, random_course
from .fields import Coordinates, FloatArray
from .shapes import blob, cell_centres, cells

Partners = NDArray[np.int64]  # (N,): the cell that each piece belongs to


def paint_packing(rng: np.random.Generator, scene: Anatomy, *, count: int, depth: float, sway: float) -> None:
    """Fill the frame with cells made of up to `count` pieces, which branch, split and merge along the sequence.

    `depth` slices weigh as one frame width; `sway` (frame widths) bends the walls.
    """
    centres = cell_centres(rng, scene.at.positions, count, depth)
    bends = scene.bends
    along = bends[0] + np.float32(0.5) * bends[2]
    across = bends[1] - np.float32(0.5) * bends[2]
    pieces = cells(rng, scene.at, centres=centres, depth=depth, sway=(along * sway, across * sway))
    partners = joined(rng, centres)
    present = np.unique(partners[np.unique(pieces)])
    table = np.searchsorted(present, partners).astype(np.uint8)
    scene.regions[:] = table[pieces]
    scene.kinds = [Kind.TISSUE] * len(present)
    scene.objects = [(cell,) for cell in range(len(present))]


def joined(rng: np.random.Generator, centres: FloatArray) -> Partners:
    """Join pieces into cells: chains run through the block as neurites, balls are cell bodies."""
    count = len(centres)
    partners = np.full(count, -1)
    for _ in range(int(rng.integers(0, 3))):
        middle = centres[int(rng.integers(count))]
        near = np.linalg.norm(centres - middle, axis=1) < rng.uniform(0.15, 0.4)
        partners[near & (partners < 0)] = int(near.argmax())
    longest = int(rng.integers(1, 9))
    for start in rng.permutation(count):
        if partners[start] < 0:
            walk(rng, centres, partners, int(start), int(rng.integers(0, longest + 1)))
    return partners


def walk(rng: np.random.Generator, centres: FloatArray, partners: Partners, start: int, steps: int) -> None:
    """Give a piece its own cell and join up to `steps` free pieces to it, one after another, roughly straight ahead."""
    heading = rng.standard_normal(3)
    here = start
    partners[start] = start
    for _ in range(steps):
        offset = centres - centres[here]
        distance = np.linalg.norm(offset, axis=1) + 1e-6
        cost = distance * (1.6 - offset @ heading / distance / np.linalg.norm(heading))
        cost[partners >= 0] = np.inf
        nearest = int(cost.argmin())
        if not np.isfinite(cost[nearest]) or distance[nearest] > 0.35:
            return
        heading = heading * 0.7 + offset[nearest] / distance[nearest]
        partners[nearest] = start
        here = nearest


def paint_organelles(rng: np.random.Generator, scene: Anatomy, count: int) -> None:
    """Mitochondria, nuclei and large vesicles, each inside one cell, of which it is a part."""
    frames, size = scene.regions.shape[:2]
    parts = {group: list(group) for group in scene.objects}
    hosts = {region: group for group in scene.objects for region in group}
    alone: list[Group] = []
    for _ in range(min(count, 250 - len(scene.kinds))):
        frame, row, column = int(rng.integers(frames)), *map(int, rng.integers(0, size, 2))
        host = int(scene.regions[frame, row, column])
        if host not in hosts:
            continue
        inside = scene.regions == host
        widest = np.sqrt(np.count_nonzero(inside[frame]) / np.pi) / size
        radius = float(np.clip(widest * rng.uniform(0.15, 0.7), 0.015, 0.2))
        level = blob(
            rng,
            scene.at,
            centre=(float(scene.at.x[frame, row, column]), float(scene.at.y[frame, row, column])),
            radius=radius,
            elongation=float(np.exp(abs(rng.normal(0, 0.6)))),
            course=random_course(rng, scene, radius * 2),
        )
        level *= 1 + np.float32(rng.uniform(0, 0.4)) * scene.bends[2].clip(-1.5, 1.5)
        organelle = scene.paint((level < 1) & interior(inside, 2), Kind.ORGANELLE)
        parts[hosts[host]].append(organelle)
        alone.append((organelle,))
    scene.objects = [tuple(group) for group in parts.values()] + alone


def interior(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Pixels of a mask (T, H, W) that lie at least this deep in it."""
    reach = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.stack([cv2.erode(frame, reach) for frame in mask.astype(np.uint8)]) > 0


def neuropil(rng: np.random.Generator, at: Coordinates, tempo: float) -> Anatomy:
    """Neurites and cell bodies with organelles, as in electron microscopy."""
    scene = blank(rng, at, tempo)
    count = int(np.exp(rng.uniform(np.log(16), np.log(150))))
    sway = float(np.exp(rng.uniform(np.log(0.01), np.log(0.07))))
    paint_packing(rng, scene, count=count, depth=tempo * float(np.exp(rng.uniform(np.log(2), np.log(9)))), sway=sway)
    for _ in range(int(rng.integers(0, 9)) if rng.random() < 0.6 else 0):
        paint_axon(rng, scene)
    paint_organelles(rng, scene, int(rng.integers(0, 20)))
    return scene


def paint_axon(rng: np.random.Generator, scene: Anatomy) -> None:
    """A rounded neurite that squeezes the cells around it."""
    x, y = rng.uniform(-0.05, 1.05, 2)
    radius = float(np.exp(rng.uniform(np.log(0.05), np.log(0.28))))
    level = random_blob(rng, scene, (float(x), float(y)), radius)
    scene.name(scene.paint(level < 1, Kind.TISSUE))
