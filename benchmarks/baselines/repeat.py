"""Copy and paste: every frame gets the mask of the nearest annotated one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def repeat_nearest(images: NDArray[Any], seeds: Mapping[int, Mask]) -> Mask:
    """The mask of the nearest seed on every frame; of two equally near, the earlier one's.

    Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}. Returns: (T, H, W).
    """
    annotated = np.array(sorted(seeds))
    nearest = annotated[np.abs(annotated - np.arange(len(images))[:, None]).argmin(axis=1)]
    return np.stack([seeds[int(index)] for index in nearest]).astype(bool)
