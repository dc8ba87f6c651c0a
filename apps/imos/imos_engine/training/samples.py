"""Held-out clips as pictures: what the network marked, and the outline of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray
from scipy.ndimage import grey_dilation, grey_erosion

from imos_engine.training.clips import Batch
from imos_engine.training.losses import label_map

COLUMNS = 6  # frames shown per clip, the seed first
GAP = 4  # pixels between two frames
TINT = 0.45  # weight of a mask's colour over the frame
COLOURS = np.array([[0, 0, 0], [255, 90, 60], [70, 160, 255], [255, 210, 60]], dtype=np.float32)  # of labels 0 to 3

Labels = NDArray[np.integer[Any]]
Picture = NDArray[np.uint8]  # (H, W, 3)


def draw_samples(batches: Sequence[Batch], predicted: Sequence[Labels], picture: Path) -> None:
    """Write a montage with a row per clip: predicted masks filled, true outlines as lines of the same colours.

    Shapes: batches of one clip; predicted (T-1, H, W) per clip, the labels of all frames but the seed.
    """
    rows = [_clip_row(batch, labels) for batch, labels in zip(batches, predicted, strict=True)]
    imsave(picture, np.concatenate(rows))


def overlay(frame: NDArray[np.float32], predicted: Labels, truth: Labels) -> Picture:
    """One frame under its masks.

    Shapes: frame (3, H, W) in [0, 1]; predicted and truth (H, W), labels from 0.
    """
    picture = 255 * frame.transpose(1, 2, 0)
    colours = COLOURS[_colour_numbers(predicted)]
    picture = np.where(predicted[..., None] > 0, (1 - TINT) * picture + TINT * colours, picture)
    edge = outline(truth)
    picture[edge] = COLOURS[_colour_numbers(truth)][edge]
    return picture.round().astype(np.uint8)


def outline(labels: Labels) -> NDArray[np.bool_]:
    """Pixels of labels that touch another label or the background, (H, W)."""
    neighbours = {"size": 3, "mode": "nearest"}
    return (labels > 0) & (grey_dilation(labels, **neighbours) != grey_erosion(labels, **neighbours))


def _clip_row(batch: Batch, predicted: Labels) -> Picture:
    frames = _brightness(batch.frames[0].numpy())
    truth = label_map(batch.masks[0]).numpy()
    labels = np.concatenate([truth[:1], predicted])
    shown = np.unique(np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int))
    pictures = [overlay(frames[index], labels[index], truth[index]) for index in shown]
    return np.concatenate([np.pad(one, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for one in pictures], axis=1)


def _brightness(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised frames back in [0, 1], from their first to their last per cent."""
    low, high = np.percentile(frames, (1, 99))
    return np.clip((frames - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def _colour_numbers(labels: Labels) -> Labels:
    """Colours repeat after the last one."""
    return np.where(labels > 0, (labels - 1) % (len(COLOURS) - 1) + 1, 0)
