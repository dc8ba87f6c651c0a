"""How a labelled case is carried from its seeds: by the network, or by repeating the seed (`--weights none`)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import LabelledCase
from imos_engine.cli.carrying import carry
from imos_engine.cli.inputs import DEFAULT_WEIGHTS, find_device
from imos_engine.config import Precision, PropagationConfig
from imos_engine.network.checkpoint import load_network
from imos_engine.propagation import Propagator
from imos_engine.sequence import Seed, frames_along


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


class NetworkCarrier:
    """The engine, as a user meets it: a window chosen under the seed, both directions."""

    def __init__(self, propagator: Propagator) -> None:
        self._propagator = propagator

    def __call__(self, case: LabelledCase, labels: Sequence[int], /) -> NDArray[np.integer]:
        index, seed = seed_labels(case, labels)
        seeds = [Seed(index=index, labels=seed, objects=frozenset(labels))]
        return carry(self._propagator, frames_along(case.image, case.slice_axis), seeds)


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default=str(DEFAULT_WEIGHTS), help="default: those bundled; none: repeat the seed")
    parser.add_argument("--size", type=int, help=f"internal size in pixels (default: {PropagationConfig().size})")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one (default)"
    )
    parser.add_argument("--precision", choices=[one.value for one in Precision], help="default: what suits the device")


def carrier_from_arguments(options: argparse.Namespace) -> Carrier:
    if options.weights == "none":
        return carry_nowhere
    settings = PropagationConfig(precision=Precision(options.precision) if options.precision else None)
    if options.size is not None:
        settings = replace(settings, size=options.size)
    network = load_network(options.weights)
    return NetworkCarrier(Propagator(network, settings=settings, device=find_device(options.device)))
