"""Training without a phase costs what training with it costs."""

import pytest

from benchmarks.phases import LONG, PHASES, SHORT, STATIC, pixels, recipe, without


@pytest.mark.parametrize("name", [STATIC, LONG, SHORT])
def test_a_phase_is_left_out_and_its_pixels_go_to_the_others(name):
    kept = without(name)
    assert len(kept) == len(PHASES) - 1
    shapes = [(phase.frames, phase.size, phase.batch) for phase in kept]
    left_out = PHASES[name]
    assert (left_out.frames, left_out.size, left_out.batch) not in shapes
    assert sum(map(pixels, kept)) == pytest.approx(sum(map(pixels, PHASES.values())), rel=0.01)


def test_only_the_static_phase_is_made_of_stills():
    made_still = [bool(phase.source.get("static")) for phase in PHASES.values()]
    assert made_still == [True, False, False]
    assert not any(phase.source.get("static") for phase in without(STATIC))


def test_every_run_begins_with_the_same_random_weights_and_a_share_of_the_steps():
    runs = [recipe(without(name), share=0.5, workers=0) for name in (None, STATIC)]
    assert len({run.seed for run in runs}) == 1
    assert [phase.steps for phase in runs[0].phases] == [60, 60, 60]
    assert all(run.phases[0].warm_up > 0.05 for run in runs)
    assert runs[0].keep_snapshots == 30
