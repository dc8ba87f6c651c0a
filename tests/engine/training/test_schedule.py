import random

import pytest

from imos_engine.training.recipe import Phase
from imos_engine.training.schedule import (
    Position,
    hardest_share,
    learned_stretch,
    learning_rate,
    progress,
    whole_progress,
)

PHASE = Phase(steps=100, learning_rate=(1e-3, 1e-5), warm_up=0.1, hardest_pixels=(1.0, 0.2))


def test_learning_rate_rises_to_its_peak_and_ends_at_its_end():
    rates = [learning_rate(PHASE, done / 100) for done in range(101)]
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 9 <= peak <= 11
    assert rates[-1] == pytest.approx(1e-5)


def test_the_first_step_already_learns():
    assert learning_rate(PHASE, 0.0) > 0


def test_hardest_share_moves_from_start_to_end():
    assert hardest_share(PHASE, 0.0) == 1.0
    assert hardest_share(PHASE, 1.0) == pytest.approx(0.2)


def test_a_phase_in_minutes_is_done_when_its_time_is_up_whatever_the_steps():
    phase = Phase(minutes=2.0)
    assert progress(phase, Position(step=10_000, minutes=1.0)) == 0.5
    assert progress(phase, Position(step=3, minutes=2.5)) == 1.0


def test_the_whole_run_is_done_when_all_phases_are_and_weighs_them_by_their_minutes():
    phases = (Phase(minutes=30.0), Phase(minutes=10.0))
    assert whole_progress(phases, Position(phase=0, minutes=15.0)) == pytest.approx(0.375)
    assert whole_progress(phases, Position(phase=1, minutes=5.0)) == pytest.approx(0.875)
    assert whole_progress(phases, Position(phase=2)) == 1.0


def test_what_is_learned_from_lies_anywhere_in_the_clip_and_nothing_follows_it():
    phase, choose = Phase(steps=1, frames=9, learned_frames=3), random.Random(0)
    stretches = {learned_stretch(phase, choose) for _ in range(200)}
    assert stretches == {(first, first + 3) for first in range(1, 7)}
    assert learned_stretch(Phase(steps=1, frames=9), choose) == (1, 9)


def test_most_stretches_hold_the_end_of_an_object_where_there_is_one():
    phase, choose = Phase(steps=1, frames=40, learned_frames=4), random.Random(0)
    found = [learned_stretch(phase, choose, [25]) for _ in range(400)]
    held = [first <= 25 < frames for first, frames in found]
    assert 0.55 < sum(held) / len(held) < 0.8
    assert {25 - first for (first, _), holds in zip(found, held, strict=True) if holds} == {0, 1, 2, 3}
    assert {learned_stretch(phase, choose, [39])[1] for _ in range(50)} <= set(range(5, 41))
