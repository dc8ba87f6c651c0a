"""Random walker in 3D: a voxel belongs to whichever seed a walker that avoids edges meets first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from .grey_frames import grey_frames
from .region import Region, with_seeds

Mask = NDArray[np.bool_]

BETA = 3000.0  # how strongly a walker avoids differences of grey; of 130, 1000, 3000, 10000 the best on the real cases
BACKGROUND, OBJECT = 1, 2


def carry_by_random_walk(images: NDArray[Any], seeds: Mapping[int, Mask]) -> Mask:
    """Solve for all frames at once; annotated frames are seeds of object and background, all others unknown.

    Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}. Returns: (T, H, W).
    """
    region = Region.around(seeds, len(images))
    grey = region.reduce(grey_frames(images, seeds)) / 255
    labels = np.zeros(grey.shape, dtype=np.int8)
    for index, mask in seeds.items():
        labels[index] = np.where(region.reduce(mask[None])[0] > 0.5, OBJECT, BACKGROUND)
    shares = _object_share(grey, labels)
    return with_seeds(region.restore(shares), seeds)


def _object_share(grey: NDArray[np.float32], labels: NDArray[np.int8]) -> NDArray[np.float32]:
    """Probability that a walker from each voxel meets the object first, (T, H, W)."""
    present = np.unique(labels[labels > 0])
    if len(present) < 2 or not (labels == 0).any():  # nothing to solve: one kind of seed, or no unknown voxel
        only = (labels == OBJECT) | ((labels == 0) & (OBJECT in present))
        return only.astype(np.float32)
    # cg_j: of the solvers for 3D the only fast one that needs no further package.
    # A probability a little outside 0 to 1 does not move the cut at 0.5: no warning about it.
    shares = random_walker(grey, labels, beta=BETA, mode="cg_j", tol=1e-3, prob_tol=float("inf"), return_full_prob=True)
    return np.asarray(shares[1], dtype=np.float32)
