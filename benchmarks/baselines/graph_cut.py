"""MONAI Label's own histogram graph cut, which its server offers for scribbles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpymaxflow
from numpy.typing import NDArray

from .grey_frames import grey_frames
from .region import Region, with_seeds

Mask = NDArray[np.bool_]


def carry_by_graph_cut(images: NDArray[Any], seeds: Mapping[int, Mask]) -> Mask:
    """Annotated frames are its strokes of object and background; what lies outside the region is background.

    Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}. Returns: (T, H, W).
    """
    task = _task()
    region = Region.around(seeds, len(images))
    grey = region.reduce(grey_frames(images, seeds)) / 255
    strokes = np.zeros(grey.shape, dtype=np.float32)
    for index, mask in seeds.items():
        inside = region.reduce(mask[None])[0] > 0.5
        strokes[index] = np.where(inside, task.scribbles_fg_label, task.scribbles_bg_label)
    volume = {"image": grey[None], "label": strokes[None]}
    likelihood = task.inferer(volume)
    unary_term = task.post_transforms(volume)[0](likelihood(volume))["unary"]
    # Its next transform makes this very call, but without `connectivity`, about which the library complains each time.
    labels = numpymaxflow.maxflow(volume["image"], unary_term, task.lamda, task.sigma, connectivity=6)[0]
    return with_seeds(region.restore(labels), seeds)


@cache
def _task() -> Any:
    """The task with its own settings (64 bins, smoothness 1, sigma 0.1); imported late, since it takes seconds."""
    with warnings.catch_warnings():  # about names and functions that it and its packages use
        warnings.simplefilter("ignore")
        from monailabel.scribbles.infer import HistogramBasedGraphCut

    return HistogramBasedGraphCut()
