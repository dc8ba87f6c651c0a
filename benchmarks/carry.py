"""How a labelled case is carried from its seeds: by the network, or by repeating the seed (`--weights none`)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import LabelledCase

WEIGHTS = Path(__file__).parents[1] / "apps/imos/model/imos_small.safetensors"


class Carrier(Protocol):
    """Carries labels that share a seed frame."""

    def __call__(self, case: LabelledCase, labels: Sequence[int], /) -> NDArray[np.integer]:
        """Predicted label map in carrying order, (T, H, W)."""
        ...


def seed_labels(case: LabelledCase, labels: Sequence[int]) -> tuple[int, NDArray[np.integer]]:
    """The frame on which `labels` are seeded and their true map there, (H, W); all must share their seed frame."""
    frames = {case.seed_frame(label) for label in labels}
    if len(frames) != 1:
        raise ValueError(f"labels {list(labels)} of {case.name} are largest on different frames {sorted(frames)}")
    index = frames.pop()
    truth = case.true_frames[index]
    return index, np.where(np.isin(truth, labels), truth, 0)


def carry_nowhere(case: LabelledCase, labels: Sequence[int]) -> NDArray[np.integer]:
    """The seed on every frame."""
    _, seed = seed_labels(case, labels)
    return np.broadcast_to(seed, case.true_frames.shape)


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default=str(WEIGHTS), help="weights of the network; 'none' only repeats the seed")
    parser.add_argument("--size", type=int, help="internal size in pixels (default: the engine's)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: %(default)s)")


def carrier_from_arguments(options: argparse.Namespace) -> Carrier:
    if options.weights == "none":
        return carry_nowhere
    raise SystemExit("the network cannot be run yet; use --weights none")
