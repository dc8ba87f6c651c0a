"""What a camera does to a picture: blur, noise, coarse pixels, contrast."""

from __future__ import annotations

import cv2
import numpy as np

from .fields import FloatArray


def blur(frames: FloatArray, sigma_x: float, sigma_y: float | None = None) -> FloatArray:
    """Gaussian blur of each frame (T, H, W) or (T, H, W, 3); sigmas in pixels; below 0.2 nothing happens."""
    sigma_y = sigma_x if sigma_y is None else sigma_y
    if max(sigma_x, sigma_y) < 0.2:
        return frames
    widths = max(sigma_x, 0.1), max(sigma_y, 0.1)
    return np.stack([cv2.GaussianBlur(frame, (0, 0), widths[0], sigmaY=widths[1]) for frame in frames])


def noise(rng: np.random.Generator, shape: tuple[int, ...], grain: float) -> FloatArray:
    """Fresh noise of unit variance in every frame (T, H, W); `grain` is its blur in pixels, 0 for white."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if grain < 0.3:
        return white
    soft = blur(white, grain)
    return soft / np.float32(soft.std())


def enlarge(rng: np.random.Generator, frames: FloatArray, factor: float) -> FloatArray:
    """As if taken with pixels `factor` times as large, noise included, and enlarged; (T, H, W) or (T, H, W, 3)."""
    if factor < 1.1:
        return frames
    height, width = frames.shape[1:3]
    small = max(8, round(width / factor)), max(8, round(height / factor))
    method = cv2.INTER_AREA if rng.random() < 0.8 else cv2.INTER_LINEAR  # the second aliases, as thin slices do
    shrunk = np.stack([cv2.resize(frame, small, interpolation=method) for frame in frames])
    if rng.random() < 0.6:
        shrunk += noise(rng, shrunk.shape, 0) * (shrunk.std() * np.float32(rng.uniform(0, 0.2)))
    smooth = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[int(rng.choice(3, p=(0.52, 0.4, 0.08)))]
    return np.stack([cv2.resize(frame, (width, height), interpolation=smooth) for frame in shrunk])


def through_slab(frames: FloatArray) -> FloatArray:
    """Thick slices (T, ...) out of 2 T - 1 thin ones: each is the weighted mean of its own and the half-way ones."""
    before = np.concatenate([frames[:1], frames[1::2]])
    after = np.concatenate([frames[1::2], frames[-1:]])
    return np.asarray(0.5 * frames[::2] + 0.25 * before + 0.25 * after, np.float32)


def regrade(rng: np.random.Generator, frames: FloatArray, *, may_invert: bool) -> FloatArray:
    """Random window, gamma and inversion, the same for the whole clip; result in [0, 1]."""
    stride = (slice(None), slice(None, None, 3), slice(None, None, 3))
    low, high = np.quantile(frames[stride], (rng.uniform(0, 0.03), rng.uniform(0.96, 1.0)))
    margin = rng.uniform(-0.05, 0.5) * (high - low)
    share = rng.random()
    low, high = low - share * margin, high + (1 - share) * margin
    graded = np.clip((frames - np.float32(low)) * np.float32(1 / max(high - low, 1e-3)), 0, 1)
    gamma = float(np.exp(rng.normal(0, 0.25)))
    if abs(gamma - 1) > 0.05:
        graded = np.asarray(cv2.pow(graded, gamma), np.float32).reshape(graded.shape)
    return np.asarray(1 - graded if may_invert and rng.random() < 0.2 else graded, np.float32)
