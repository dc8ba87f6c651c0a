"""Ways to solve a slice: marks of one object in, its probability out; and several objects on one slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .learned import LearnedPrompts
from .prompt_network import load_prompt_network
from .segment import segment_slice
from .slice_prompts import SlicePrompts

Pixels = NDArray[np.float32]
SliceSolver = Callable[[NDArray[Any], SlicePrompts], Pixels]  # image and marks -> (H, W), above one half is the object


def classical_solver(image: NDArray[Any], prompts: SlicePrompts) -> Pixels:
    """Regions that grow from the marks: needs no weights. Probability (H, W) of 0 or 1."""
    return segment_slice(image, prompts).astype(np.float32)


def learned_solver(weights: str | Path) -> SliceSolver:
    """The prompt network of a file.

    Raises:
        PromptWeightsError: the file is absent, unreadable, or holds other weights.
    """
    return LearnedPrompts(load_prompt_network(weights))


def without_overlap(probabilities: Sequence[Pixels]) -> NDArray[np.intp]:
    """Number (H, W) of the likeliest object of every pixel, counted from 1; 0 where none is above one half.

    Shapes: probabilities of each object, (H, W). Of equally likely objects the first wins.
    """
    stacked = np.stack([np.full_like(probabilities[0], 0.5), *probabilities])
    return np.asarray(stacked.argmax(axis=0))
