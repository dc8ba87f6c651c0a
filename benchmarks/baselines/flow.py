"""Frame-to-frame optical flow: each frame takes the mask of its neighbour from where its pixels came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .grey_frames import grey_frames

Mask = NDArray[np.bool_]
Soft = NDArray[np.float32]


def carry_by_flow(images: NDArray[Any], seeds: Mapping[int, Mask]) -> Mask:
    """Warp soft masks with OpenCV's DIS flow (medium preset) from frame to frame, both ways, and cut them at 0.5.

    Between two seeds both passes are blended by the distance to them.
    Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}. Returns: (T, H, W).
    """
    frames = grey_frames(images, seeds)
    forward = _pass(frames, seeds, step=1)
    backward = _pass(frames, seeds, step=-1)
    shares = np.array([earlier_share(index, seeds) for index in range(len(frames))], dtype=np.float32)[:, None, None]
    return shares * forward + (1 - shares) * backward > 0.5


def earlier_share(index: int, seeds: Mapping[int, Mask]) -> float:
    """Weight of the seed before a frame, 0 to 1; the seed after it has the rest."""
    before = max((seed for seed in seeds if seed <= index), default=None)
    after = min((seed for seed in seeds if seed >= index), default=None)
    if before is None:
        return 0.0
    if after is None or after == before:
        return 1.0
    return (after - index) / (after - before)


def _pass(frames: NDArray[np.uint8], seeds: Mapping[int, Mask], *, step: int) -> Soft:
    """Masks carried in one direction (step 1 or -1) from the last seed passed; zero before the first. (T, H, W)."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in frames.shape[:0:-1]))
    masks = np.zeros(frames.shape, dtype=np.float32)
    reached = False
    for index in range(len(frames))[::step]:
        if index in seeds:
            masks[index], reached = seeds[index], True
        elif reached and masks[index - step].any():
            motion = flow.calc(frames[index], frames[index - step], None)
            masks[index] = cv2.remap(
                masks[index - step], columns + motion[..., 0], rows + motion[..., 1], cv2.INTER_LINEAR
            )
    return masks
