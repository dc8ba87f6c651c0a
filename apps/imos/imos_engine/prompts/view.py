"""What the prompt network sees of a slice: a window with its marks, as channels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

CHANNELS = 14
COLOURS, ALLOWED, PREVIOUS, KNOWN, TISSUE = slice(0, 3), 10, 11, 12, 13  # some of them
SMOOTHING = 1.0  # pixels; below it lies noise
CONTRAST_SHARE = 0.02  # of the view's contrast: the least spread that a tissue has
FARTHEST = 4.0  # spreads beyond the typical range at which a value cannot look less alike
MARK_RADIUS = 2  # pixels by which a mark is widened, so that no convolution overlooks it
FADE = 16.0  # pixels over which the nearness of a mark fades
WAY_STEP, WAY_SCALE = 0.05, 4.0  # cost of a typical pixel on the way from a mark, and the cost that counts as far
WAY_REDUCTION, WAY_STEPS = 2, 96  # ways are measured on a grid this much coarser, and are at most this many steps long
SAMPLES = 500  # pixels of the tissue, at most, that tell what is typical
CROSS, SQUARE = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), np.ones((3, 3), np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A window of a slice; all arrays (S, S), the image (S, S, 3)."""

    image: Pixels  # any scale, finite
    foreground: Mask
    background: Mask
    allowed: Mask  # inside the slice and inside the box
    previous: Pixels | None = None  # probability of the object as known so far


def view_channels(view: View) -> Pixels:
    """The network's input, (CHANNELS, S, S), about -1 to 1, whatever the image's brightness and contrast.

    Three of colour; two that compare every pixel with the marked tissue; the way from the marks through similar tissue;
    marks and their nearness, each for foreground and background; where the object may be; the previous mask, and
    whether there is one; the tissue that was compared with. Where there are marks, the previous mask changes no channel
    but its own two.
    """
    tissue = _reference_tissue(view)
    difference, brightness = _compared(view, tissue)
    previous = np.zeros_like(difference) if view.previous is None else view.previous
    known = np.full_like(difference, 0.0 if view.previous is None else 1.0)
    channels = [
        *np.moveaxis(_scaled(view.image, view.allowed), 2, 0),
        difference,
        brightness,
        _way_from(tissue, difference),
        _widened(view.foreground),
        _widened(view.background),
        _nearness(view.foreground),
        _nearness(view.background),
        view.allowed.astype(np.float32),
        previous,
        known,
        tissue.astype(np.float32),
    ]
    return np.stack(channels).astype(np.float32, copy=False)


def _scaled(image: Pixels, allowed: Mask) -> Pixels:
    """All but the darkest and brightest percent of what is allowed, from -1 to 1."""
    low, high = np.percentile(_thinned(image, allowed), (1, 99))
    scaled: Pixels = np.clip((image - low) / max(high - low, 1e-6) * 2 - 1, -1.3, 1.3)
    return scaled


def _reference_tissue(view: View) -> Mask:
    """Pixels that show what the object looks like: marks, else the core of the previous mask or the box's middle."""
    tissue = view.foreground & ~view.background
    if tissue.any():
        tissue = _dilated(tissue, 1 if np.count_nonzero(tissue) >= 12 else 3)
    elif view.previous is not None:
        known = view.previous >= 0.5
        core = cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        tissue = core if core.any() else known
    tissue &= ~view.background
    return tissue if tissue.any() else _middle_of(view.allowed)


def _compared(view: View, tissue: Mask) -> tuple[Pixels, Pixels]:
    """How unlike the tissue every pixel is, 0 to 1, and how much darker or brighter than it, -1 to 1."""
    smooth = np.asarray(cv2.GaussianBlur(view.image, (0, 0), SMOOTHING), np.float32)
    samples = smooth[tissue]
    samples = samples[:: 1 + len(samples) // SAMPLES]
    middle = np.median(samples, axis=0)
    low, high = np.percentile(samples, (25, 75), axis=0)
    darkest, brightest = np.percentile(_thinned(smooth, view.allowed), (5, 95), axis=0)
    contrast = brightest - darkest
    deviation = 1.4826 * np.median(np.abs(samples - middle), axis=0)
    spread = np.maximum(deviation, CONTRAST_SHARE * contrast) + 1e-6
    outside = np.maximum(0.0, np.maximum(low - smooth, smooth - high)) / spread
    difference = np.minimum(np.sqrt((outside**2).sum(axis=2) / 3), FARTHEST) / FARTHEST
    brightness = np.tanh(2 * (smooth - middle).mean(axis=2) / (contrast.mean() + 1e-6))
    return difference.astype(np.float32), brightness.astype(np.float32)


def _way_from(tissue: Mask, difference: Pixels) -> Pixels:
    """Cheapest way from the tissue to every pixel through what looks like it, 0 to 1."""
    size = tissue.shape[0] // WAY_REDUCTION
    coarse = cv2.resize(difference, (size, size), interpolation=cv2.INTER_AREA)
    starts = cv2.resize(tissue.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) > 0
    costs = WAY_STEP + coarse**2
    ways = np.where(starts, np.float32(0), np.float32(1e6))
    for step in range(WAY_STEPS):  # straight and diagonal steps in turn: wavefronts are octagons
        ways = np.minimum(ways, cv2.erode(ways, SQUARE if step % 2 else CROSS) + costs)
    far = np.tanh(ways / np.float32(WAY_SCALE))
    return np.asarray(cv2.resize(far, tissue.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _thinned(pixels: Pixels, allowed: Mask) -> Pixels:
    """(N, C): every second allowed row and column, enough for percentiles; everything where nothing is allowed."""
    thin, where = pixels[::2, ::2], allowed[::2, ::2]
    return thin[where] if where.any() else thin.reshape(-1, pixels.shape[2])


def _widened(marks: Mask) -> Pixels:
    return _dilated(marks, MARK_RADIUS).astype(np.float32)


def _nearness(marks: Mask) -> Pixels:
    """1 on the marks, fading to 0 away from them."""
    if not marks.any():
        return np.zeros(marks.shape, np.float32)
    distance = cv2.distanceTransform((~marks).astype(np.uint8), cv2.DIST_L2, 5)
    return np.exp(-distance / np.float32(FADE))


def _dilated(mask: Mask, radius: int) -> Mask:
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk) > 0)


def _middle_of(allowed: Mask) -> Mask:
    """The middle of a box, a third as wide and high: almost surely object."""
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    middle = np.zeros_like(allowed)
    if not rows.size:
        middle[middle.shape[0] // 2, middle.shape[1] // 2] = True
        return middle
    third, quarter = len(rows) // 3, len(columns) // 3
    middle[rows[third] : rows[-1] - third + 1, columns[quarter] : columns[-1] - quarter + 1] = True
    return middle
