"""Accepted labels made up for tests: a bright ball that drifts through a noisy volume."""

from __future__ import annotations

import numpy as np

from imos_engine.adapters.accepted import AcceptedVolume

SHAPE = (48, 48, 12)


def ball_volume(seed: int, *, shape: tuple[int, int, int] = SHAPE, shuffled: bool = False) -> AcceptedVolume:
    """`shuffled` puts the label where another volume's ball is: what a mix-up of files does."""
    labels = drifting_ball(seed, shape)
    noise = np.random.default_rng(seed).normal(0, 5, shape)
    images = (np.where(labels > 0, 160, 60) + noise).astype(np.int16)
    told = np.roll(labels[::-1], (17, 9, 0), axis=(0, 1, 2)) if shuffled else labels
    return AcceptedVolume(images=images, labels=told, names={1: "ball"}, axis=2, axes=(2,)).identified()


def drifting_ball(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    random = np.random.default_rng([seed, 1])
    grid = np.indices(shape, dtype=float)
    centre = random.uniform(0.35, 0.5, 3) * shape
    drift = random.uniform(-0.8, 0.8, 2)
    steps = grid[2] - centre[2]
    radius = random.uniform(0.16, 0.22) * shape[0] * np.sqrt(np.clip(1 - (steps / shape[2]) ** 2 * 1.5, 0, None))
    distance = np.hypot(grid[0] - centre[0] - drift[0] * steps, grid[1] - centre[1] - drift[1] * steps)
    return (distance < radius).astype(np.uint8)
