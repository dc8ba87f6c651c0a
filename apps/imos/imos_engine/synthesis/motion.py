"""How tissue moves under the frame: camera, breathing, heartbeat, deformation, misaligned slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fields import Coordinates, FloatArray, screen_field, slow_paths


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How strongly the whole scene moves; standard deviations."""

    correlation: float  # slices over which the motion changes
    translation: float = 0.0  # frame widths
    rotation: float = 0.0  # radians
    log_scale: float = 0.0  # natural logarithm of the magnification
    elastic: float = 0.0  # frame widths
    shake: float = 0.0  # frame widths, independent in every frame
    beat: float = 0.0  # log magnification of a periodic contraction
    beat_period: float = 24.0  # slices


def moving_coordinates(rng: np.random.Generator, positions: FloatArray, size: int, motion: Motion) -> Coordinates:
    """The place in the anatomy that each pixel of each frame shows."""
    frames = len(positions)
    paths = slow_paths(rng, positions, motion.correlation, 4)
    beat = motion.beat * np.sin(2 * np.pi * (positions / motion.beat_period + rng.random()))
    angle = motion.rotation * paths[:, 0] + rng.uniform(-np.pi, np.pi)
    scale = np.exp(motion.log_scale * paths[:, 1] + beat)
    shift = motion.translation * paths[:, 2:] + motion.shake * rng.standard_normal((frames, 2))
    cosine, sine = ((scale * part)[:, None, None].astype(np.float32) for part in (np.cos(angle), np.sin(angle)))
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) - np.float32(0.5)
    x = axis[None, None, :] + shift[:, 0, None, None].astype(np.float32)
    y = axis[None, :, None] + shift[:, 1, None, None].astype(np.float32)
    moved_x = cosine * x - sine * y + np.float32(0.5)
    moved_y = sine * x + cosine * y + np.float32(0.5)
    if motion.elastic > 0:
        moved_x += elastic(rng, positions, size, motion)
        moved_y += elastic(rng, positions, size, motion)
    return Coordinates(x=moved_x, y=moved_y, positions=positions)


def elastic(rng: np.random.Generator, positions: FloatArray, size: int, motion: Motion) -> FloatArray:
    """One component (T, size, size) of a smooth displacement, in frame widths."""
    wavelength = rng.uniform(0.4, 1.0)
    field = screen_field(rng, positions, size, correlation=motion.correlation, wavelength=wavelength)
    return field * np.float32(motion.elastic * wavelength)


def still_coordinates(positions: FloatArray, size: int) -> Coordinates:
    """The screen itself: every frame shows the same places."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    shape = (len(positions), size, size)
    x, y = np.broadcast_to(axis[None, None, :], shape), np.broadcast_to(axis[None, :, None], shape)
    return Coordinates(x=np.ascontiguousarray(x), y=np.ascontiguousarray(y), positions=positions)
