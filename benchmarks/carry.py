"""Our method as a benchmark meets it: masks of a few frames in, a mask on every frame out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imos_engine.cli.carrying import carry
from imos_engine.cli.inputs import DEFAULT_WEIGHTS, find_device
from imos_engine.config import MemoryConfig, Precision, PropagationConfig
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import load_network
from imos_engine.propagation import FrameResult, Propagator
from imos_engine.sequence import BOTH_DIRECTIONS, Direction, Frames, Seed

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that an ablation may change about the propagation."""

    settings: PropagationConfig = field(default_factory=PropagationConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    directions: frozenset[Direction] = BOTH_DIRECTIONS


class NetworkCarrier:
    """The engine, as a user meets it: a window chosen under the seeds, both directions unless the setup says else."""

    def __init__(self, network: ImosNetwork, setup: Setup, *, device: torch.device) -> None:
        self._directed = _Directed(
            Propagator(network, settings=setup.settings, memory=setup.memory, device=device), setup.directions
        )

    def __call__(self, images: NDArray[Any], seeds: Mapping[int, Mask]) -> Mask:
        """Shapes: images (T, H, W) or (T, H, W, 3); seeds {frame: (H, W)}, an empty one says: absent. (T, H, W)."""
        annotated = [
            Seed(index=index, labels=mask.astype(np.uint8), objects=frozenset({1})) for index, mask in seeds.items()
        ]
        return carry(self._directed, images, annotated) == 1


class _Directed:
    """A propagator that carries seeds only in the given directions."""

    def __init__(self, propagator: Propagator, directions: frozenset[Direction]) -> None:
        self._propagator = propagator
        self._directions = directions

    def propagate(self, frames: Frames, seeds: Sequence[Seed]) -> Iterator[FrameResult]:
        return self._propagator.propagate(frames, seeds, directions=self._directions)


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default=str(DEFAULT_WEIGHTS), help="default: those bundled")
    add_setup_arguments(parser)


def add_setup_arguments(parser: argparse.ArgumentParser) -> None:
    """How any weights are run."""
    parser.add_argument("--size", type=int, help=f"internal size in pixels (default: {PropagationConfig().size})")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one (default)"
    )
    parser.add_argument("--precision", choices=[one.value for one in Precision], help="default: what suits the device")


def setup_from_arguments(options: argparse.Namespace) -> Setup:
    settings = PropagationConfig(precision=Precision(options.precision) if options.precision else None)
    return Setup(settings=settings if options.size is None else replace(settings, size=options.size))


def carrier_from_arguments(options: argparse.Namespace) -> NetworkCarrier:
    network, device = load_network(options.weights), find_device(options.device)
    return NetworkCarrier(network, setup_from_arguments(options), device=device)
