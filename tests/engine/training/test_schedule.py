import pytest

from imos_engine.training.recipe import Phase
from imos_engine.training.schedule import Position, hardest_share, learning_rate, progress, whole_progress

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
