"""The part of a sequence on which methods that look at all voxels at once can work within seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

MARGIN = 0.5  # on every side, of the longer side of the seeds' bounding box
LEAST_MARGIN = 12  # pixels
MAX_VOXELS = 200_000  # random walker: about 2 s on one core


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of every frame, seen at a reduced size."""

    rows: slice
    columns: slice
    size: tuple[int, int]  # height and width at which it is seen
    frame_size: tuple[int, int]  # height and width of the whole frame

    @staticmethod
    def around(seeds: Mapping[int, Mask], frames: int) -> Region:
        """The seeds' common bounding box with a margin, reduced until `frames` of it have at most MAX_VOXELS."""
        marked = np.any([np.asarray(mask) for mask in seeds.values()], axis=0)
        if not marked.any():
            raise ValueError("no seed holds a pixel; give the mask of at least one frame on which the object is seen")
        extents = [np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0)]
        margin = max(LEAST_MARGIN, round(MARGIN * max(np.ptp(extent) + 1 for extent in extents)))
        rows, columns = (
            slice(max(0, int(extent[0]) - margin), min(length, int(extent[-1]) + 1 + margin))
            for extent, length in zip(extents, marked.shape, strict=True)
        )
        height, width = rows.stop - rows.start, columns.stop - columns.start
        scale = min(1.0, (MAX_VOXELS / (frames * height * width)) ** 0.5)
        size = max(1, int(height * scale)), max(1, int(width * scale))
        return Region(rows=rows, columns=columns, size=size, frame_size=(marked.shape[0], marked.shape[1]))

    def reduce(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Shapes: frames (T, H, W), any numbers. Returns: (T, *size), means over the pixels that became one."""
        cut = np.asarray(frames[:, self.rows, self.columns], dtype=np.float32)
        return np.stack([cv2.resize(frame, self.size[::-1], interpolation=cv2.INTER_AREA) for frame in cut])

    def restore(self, shares: NDArray[np.float32]) -> Mask:
        """Shapes: shares of object (T, *size), 0 to 1. Returns: (T, H, W), true above 0.5, false around the region."""
        restored = np.zeros((len(shares), *self.frame_size), dtype=bool)
        full = self.columns.stop - self.columns.start, self.rows.stop - self.rows.start
        for index, share in enumerate(np.asarray(shares, dtype=np.float32)):
            enlarged = cv2.resize(share, full, interpolation=cv2.INTER_LINEAR)
            restored[index, self.rows, self.columns] = enlarged > 0.5
        return restored


def with_seeds(masks: Mask, seeds: Mapping[int, Mask]) -> Mask:
    """Masks (T, H, W) with annotated frames exactly as given."""
    for index, mask in seeds.items():
        masks[index] = mask
    return masks
