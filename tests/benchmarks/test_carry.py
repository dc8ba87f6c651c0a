from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.carry import NetworkCarrier, Setup
from imos_engine.config import PropagationConfig
from imos_engine.propagation import Propagator
from imos_engine.sequence import BOTH_DIRECTIONS, Direction
from tests.benchmarks.moving_disk import moving_disk
from tests.engine.narrow import narrow_network

SETUP = Setup(settings=PropagationConfig(size=48))


def test_annotated_frames_come_back_and_an_empty_one_says_absent():
    images, truth = moving_disk()
    carrier = NetworkCarrier(narrow_network(), SETUP, device=torch.device("cpu"))
    predicted = carrier(images, {2: truth[2], 5: np.zeros_like(truth[5])})
    assert predicted.shape == truth.shape
    np.testing.assert_array_equal(predicted[2], truth[2])
    assert not predicted[5].any()


@pytest.mark.parametrize("directions", [BOTH_DIRECTIONS, frozenset({Direction.FORWARD})])
def test_seeds_are_carried_in_the_directions_and_with_the_memory_of_the_setup(directions, monkeypatch):
    asked = []
    propagate = Propagator.propagate

    def spy(self, frames, seeds, **options):
        asked.append((options["directions"], self.memory, self.settings))
        return propagate(self, frames, seeds, **options)

    monkeypatch.setattr(Propagator, "propagate", spy)
    setup = replace(SETUP, directions=directions, memory=replace(SETUP.memory, max_long_term=0))
    images, truth = moving_disk()
    predicted = NetworkCarrier(narrow_network(), setup, device=torch.device("cpu"))(images, {3: truth[3]})
    assert asked == [(directions, setup.memory, setup.settings)]
    if directions != BOTH_DIRECTIONS:
        assert not predicted[:3].any()
