"""Propagations as the tests ask for them, and what they compare."""

from __future__ import annotations

import numpy as np
import torch

from imos_engine.config import MemoryConfig, Precision, PropagationConfig
from imos_engine.propagation import FeatureCache, FrameResult, Propagator
from imos_engine.sequence import Direction
from tests.engine.narrow import narrow_network
from tests.engine.sequences import moving_frames

FORWARD, BACKWARD = (frozenset({direction}) for direction in Direction)
EXACT = {"size": None, "window": None, "precision": Precision.FLOAT32, "end_after": None, "encode_batch": 1}
MEMORY = MemoryConfig(
    write_every=2, max_working_frames=4, min_working_frames=2, prototypes=6, max_long_term=20, read_top_k=5
)


def propagator_of(network=None, *, features: FeatureCache | None = None, device: str = "cpu", **settings) -> Propagator:
    return Propagator(
        network or narrow_network(),
        memory=MEMORY,
        settings=PropagationConfig(**EXACT | settings),
        features=features,
        device=device,
    )


def propagate(frames, seeds, *, propagator: Propagator | None = None, **options) -> dict[int, FrameResult]:
    results = list((propagator or propagator_of()).propagate(frames, seeds, **options))
    assert len(results) == len({result.index for result in results})
    return {result.index: result for result in results}


def same(one: dict[int, FrameResult], other: dict[int, FrameResult]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[index].labels, other[index].labels) and one[index].confidence == other[index].confidence
        for index in one
    )


def nearly_same(one: dict[int, FrameResult], other: dict[int, FrameResult], *, share: float = 0.99) -> bool:
    assert one.keys() == other.keys()
    return all((one[index].labels == other[index].labels).mean() > share for index in one)


def blind_network():
    """Predicts nothing, ever."""
    network = narrow_network()
    with torch.no_grad():
        network.decoder.pred.bias.fill_(-100)
    return network


class WatchedFrames:
    """Counts the frames that were asked for."""

    def __init__(self, count: int, height: int = 48, width: int = 64) -> None:
        self._frames = moving_frames(count, height, width)
        self.size = self._frames.size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self._frames)

    def normalised(self, start: int, stop: int) -> torch.Tensor:
        self.asked += range(start, stop)
        return self._frames.normalised(start, stop)
