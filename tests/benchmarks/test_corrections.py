"""What the benchmark of corrections asks for, and what it calls a failure."""

import numpy as np
import pytest

from benchmarks.corrections import Answer, Measurement, made_task, measure


def answer(mask, seconds=1.0):
    return Answer(mask=mask, imos={}, seconds=1.0, cpu_seconds=seconds)


@pytest.fixture
def frames():
    """An object's mask (T, H, W) on twenty slices."""
    return np.random.default_rng(0).random((20, 6, 7)) > 0.5


def test_the_correction_lies_between_the_first_two_of_three_seeds():
    asked = []

    def ask(slices):
        asked.append(list(slices))
        return answer(np.zeros((1, 1, 1), bool))

    found = measure(made_task(), ask)
    (first, second, third), (corrected,) = asked
    assert first < corrected < second < third
    assert found.between == (first, second)


@pytest.mark.parametrize(("index", "outside"), [(5, 0), (9, 0), (4, 1), (10, 1), (0, 1), (19, 1)])
def test_what_changes_on_the_seeds_or_beyond_them_is_counted(frames, index, outside):
    corrected = frames.copy()
    corrected[index, 2, 3] ^= True
    found = Measurement(full=answer(frames, 9.0), correction=answer(corrected), between=(4, 10))
    assert found.changed_outside == outside
    assert found.passes == (outside == 0)


@pytest.mark.parametrize(("seconds", "passes"), [(2.9, True), (3.1, False)])
def test_a_correction_may_cost_less_than_a_third(frames, seconds, passes):
    found = Measurement(full=answer(frames, 9.0), correction=answer(frames, seconds), between=(4, 10))
    assert found.passes == passes
