"""The picture that training-free methods look at: windowed as for the network, grey, 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imos_engine.intensity import automatic_intensity


def grey_frames(images: NDArray[Any], seeds: Mapping[int, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Frames from black (0) to white (255), through the window that the engine chooses under the seeds.

    Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}. Returns: (T, H, W).
    """
    annotated = np.zeros(images.shape[:3], dtype=bool)
    for index, mask in seeds.items():
        annotated[index] = mask
    intensity = automatic_intensity(images, annotated)
    shown = intensity.apply(images) * intensity.deviation + intensity.mean
    frames: NDArray[np.uint8] = np.clip(shown * 255, 0, 255).astype(np.uint8)
    if frames.ndim == 3:
        return frames
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
