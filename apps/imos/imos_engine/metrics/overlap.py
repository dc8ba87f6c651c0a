"""How much two masks share: region similarity J, Dice, and what leaks beyond the object's true extent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def region_similarity(prediction: Mask, truth: Mask) -> float:
    """J: intersection over union of two masks of one shape, 0 to 1; two empty masks agree (1)."""
    _require_same_shape(prediction, truth)
    union = np.count_nonzero(prediction | truth)
    return np.count_nonzero(prediction & truth) / union if union else 1.0


def dice(prediction: Mask, truth: Mask) -> float:
    """Twice the intersection over the sum of both masks, 0 to 1; two empty masks agree (1)."""
    _require_same_shape(prediction, truth)
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(prediction & truth) / total if total else 1.0


def leak(prediction: Mask, truth: Mask) -> float:
    """Predicted pixels on frames before the first or after the last true frame, per true pixel.

    Shapes: both (T, H, W). Returns 0 (nothing leaks) or more; `nan` where the truth is empty.
    """
    _require_same_shape(prediction, truth)
    true_frames = np.flatnonzero(truth.any(axis=(1, 2)))
    if true_frames.size == 0:
        return float("nan")
    beyond = np.count_nonzero(prediction[: true_frames[0]]) + np.count_nonzero(prediction[true_frames[-1] + 1 :])
    return beyond / np.count_nonzero(truth)


def _require_same_shape(prediction: Mask, truth: Mask) -> None:
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction has shape {prediction.shape} and truth {truth.shape}; resample one onto the other's grid first"
        )
