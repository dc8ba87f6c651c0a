"""Which marks mean the same piece of an object: one organ may lie in several pieces on a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from .slice_prompts import Marks

Mask = NDArray[np.bool_]


def mark_groups(marks: Marks) -> list[Marks]:
    """Marks for each connected stroke or click on the foreground; box and background marks belong to all of them."""
    strokes, count = ndimage.label(marks.inside, np.ones((3, 3)))
    return [replace(marks, foreground=strokes == number) for number in range(1, count + 1)]


def joined_groups(groups: Sequence[Marks], masks: Sequence[Mask]) -> list[Marks]:
    """Groups that mean one piece as one: those of which one's mask holds most of the other's marks.

    Shapes: masks (H, W), what each group alone stands for.
    """
    holds = [[float(mask[other.inside].mean()) > 0.5 for other in groups] for mask in masks]
    count, pieces = connected_components(np.array(holds), directed=False)
    members = [
        [group for group, piece in zip(groups, pieces, strict=True) if piece == number] for number in range(count)
    ]
    return [replace(some[0], foreground=np.any([one.inside for one in some], axis=0)) for some in members]
