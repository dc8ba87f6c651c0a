"""The methods that a run compares, by name: ours and what a user could do without training."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines import carry_by_flow, carry_by_graph_cut, carry_by_random_walk, repeat_nearest
from benchmarks.carry import carrier_from_arguments

Mask = NDArray[np.bool_]

# Images (T, H, W) or (T, H, W, 3) and the masks (H, W) of a few frames -> a mask on every frame, (T, H, W).
Method = Callable[[NDArray[Any], Mapping[int, Mask]], Mask]

OURS = "ours"
TRAINING_FREE: dict[str, Method] = {
    "repeat": repeat_nearest,
    "flow": carry_by_flow,
    "random walker": carry_by_random_walk,
    "graph cut": carry_by_graph_cut,
}
NAMES = (OURS, *TRAINING_FREE)


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--methods",
        type=_names,
        default=list(NAMES),
        metavar="NAME,NAME",
        help=f"of {', '.join(NAMES)} (default: all)",
    )


def methods_from_arguments(options: argparse.Namespace) -> dict[str, Method]:
    """The chosen methods; the network is loaded only if it is among them."""
    ours = {OURS: carrier_from_arguments(options)} if OURS in options.methods else {}
    return {name: (ours | TRAINING_FREE)[name] for name in options.methods}


def _names(text: str) -> Sequence[str]:
    chosen = [name.strip() for name in text.split(",")]
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no method {unknown[0]!r}; choose from {', '.join(NAMES)}")
    return list(dict.fromkeys(chosen))
