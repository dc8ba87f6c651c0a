"""A site that learns, played with a carrying and a learning whose effect is known."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks.effort import main, play, read_runs
from benchmarks.sites.effort_engine import BankLearn
from benchmarks.sites.effort_report import NEVER, STRATEGIES, Run, Step, never_run, report_lines
from benchmarks.sites.effort_site import (
    COMMON,
    RARE,
    UNTRAINED,
    Carried,
    Case,
    Plan,
    Site,
    Version,
    annotate,
    made_cases,
)
from imos_engine.adapters.gate import GateRules
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.config import Precision, PropagationConfig
from imos_engine.network.checkpoint import save_network
from imos_engine.training.accepted import learning
from tests.engine.narrow import narrow_network

PLAN = Plan(common=3, rare=2, shape=(8, 8, 9), train_after=(1, 2, 4))


def block(name, label=COMMON):
    mask = np.zeros(PLAN.shape, bool)
    mask[2:6, 2:6] = True
    mask[1, 2:6, 4] = True  # largest in the middle slice
    image = np.full(PLAN.shape, len(name), np.int16)
    return Case(name=name, label=label, image=image, mask=mask)


def carried(case, slices, reach):
    """The truth up to `reach` slices from an annotated one, nothing beyond; the farther, the less sure."""
    distance = np.abs(np.arange(len(case.truth))[:, None] - np.array(slices)).min(axis=1)
    mask = case.truth & (distance <= reach)[:, None, None]
    return Carried(mask=mask, confidence={index: 0.9 / (1 + far) for index, far in enumerate(distance.tolist())})


class Learner:
    """Every training reaches one slice farther."""

    def __init__(self, gain=1):
        self.calls, self.gain = [], gain

    def __call__(self, volumes, parent):
        self.calls.append((volumes, parent))
        return Version(identity=str(reach_of(parent) + self.gain))


def reach_of(version):
    return 0 if version is UNTRAINED else int(version.identity)


def made_site(learner):
    cases = [block("a"), block("b", RARE), block("c"), block("d", RARE), block("e")]
    return Site(
        cases, PLAN, carry=lambda case, slices, version: carried(case, slices, reach_of(version)), learn=learner
    )


def test_an_annotator_stops_as_soon_as_the_volume_is_right_enough():
    case = block("a")

    def annotated(reach):
        return annotate(case.truth, carried(case, [4], reach), lambda s: carried(case, s, reach), enough=0.9, most=8)

    work = {reach: annotated(reach) for reach in (0, 1, 4)}
    assert 1 == len(work[4].slices) < len(work[1].slices) < len(work[0].slices) == 8
    for one in work.values():
        assert one.slices[0] == 4
        assert len(set(one.slices)) == len(one.slices) == len(one.dice)
        assert list(one.dice) == sorted(one.dice)
        assert all(score < 0.9 for score in one.dice[:-1])


def test_where_nothing_is_suggested_the_slice_that_is_most_wrong_is_corrected():
    case = block("a")
    sure = Carried(mask=carried(case, [4], 1).mask, confidence=dict.fromkeys(range(9), 1.0))
    work = annotate(case.truth, sure, lambda slices: replace(sure, mask=case.truth), enough=0.9, most=8)
    assert work.slices == (4, 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_leads_through_every_volume_once_and_learning_makes_later_ones_cheaper(strategy):
    run = play(made_site(Learner()), strategy, seed=0)
    assert sorted(step.case for step in run.steps) == ["a", "b", "c", "d", "e"]
    slices = [step.slices for step in run.steps]
    assert slices == sorted(slices, reverse=True)
    assert slices[0] > slices[1] > slices[2] == slices[3] > slices[4]
    assert {step.never_slices for step in run.steps} == {slices[0]}


def test_the_least_certain_volume_comes_first():
    def carry(case, slices, version):
        found = carried(case, slices, 4)
        return replace(found, confidence=dict.fromkeys(found.confidence, 0.1 if case.name == "c" else 0.9))

    site = Site(list(made_site(Learner()).cases.values()), PLAN, carry=carry, learn=Learner())
    assert play(site, "imos_uncertainty", seed=0).steps[0].case == "c"
    assert play(site, "first", seed=0).steps[0].case == "a"


def test_training_follows_the_given_numbers_of_accepted_volumes_each_from_the_one_before():
    learner = Learner()
    play(made_site(learner), "first", seed=0)
    assert [len(volumes) for volumes, _ in learner.calls] == [1, 2, 4]
    assert [reach_of(parent) for _, parent in learner.calls] == [0, 1, 2]
    for volumes, _ in learner.calls:  # what the untrained network missed
        assert all(np.count_nonzero(volume.changed) == 8 * 16 for volume in volumes)


def test_what_was_computed_for_one_strategy_serves_the_others():
    learner = Learner()
    site = made_site(learner)
    first = play(site, "first", seed=0)
    assert play(site, "first", seed=3).steps == first.steps
    assert len(learner.calls) == 3


def test_a_learning_without_effect_saves_nothing():
    run = play(made_site(Learner(gain=0)), "random", seed=0)
    assert run.total == run.never_total
    assert sum(step.slices for step in never_run([replace(run, strategy=STRATEGIES[0])])[0].steps) == run.total


def step(slices, never):
    return Step(
        case="a", label=COMMON, slices=slices, reached=True, first_dice=0.8,
        never_slices=never, never_first_dice=0.5, uncertainty=0.3,
    )  # fmt: skip


@pytest.fixture
def runs():
    """Two sites of two volumes; every strategy saves one slice on the second volume of each."""
    return [
        Run(seed=seed, strategy=name, steps=(step(5 + seed, 5 + seed), step(3, 4)))
        for seed in (0, 1)
        for name in STRATEGIES
    ]


def test_the_tables_tell_totals_and_what_was_saved_by_place(runs):
    lines = report_lines(runs, [{"published": True, "seconds": 10.0}, {"published": False, "seconds": 20.0}])
    never = next(line for line in lines if line.startswith(f"| {NEVER} |"))
    assert never == "| never | 5.5 (5.0 to 6.0) | 4.0 (4.0 to 4.0) | 9.5 (9.0 to 10.0) |  | 0.500 |"
    first, saved = [line for line in lines if line.startswith("| first |")]
    assert first == "| first | 5.5 (5.0 to 6.0) | 3.0 (3.0 to 3.0) | 8.5 (8.0 to 9.0) | 1.0 (1.0 to 1.0) | 0.800 |"
    assert saved == "| first | 0.0 (0.0 to 0.0) | 1.0 (1.0 to 1.0) |"
    assert "8 sequences begin with a cell: a later cell takes 3.00 slices, never 4.00." in lines
    assert "2 trainings of 15 s on average, of which the gate let 1 pass." in lines


def test_what_is_finished_is_told_again_without_computing(runs, tmp_path, capsys):
    file, picture = tmp_path / "runs.json", tmp_path / "effort.png"
    file.write_text(json.dumps({"runs": [asdict(run) for run in runs], "trainings": []}))
    assert read_runs(file) == (runs, [])
    assert main(["--seeds", "2", "--json", str(file), "--picture", str(picture)]) == 0
    assert "| imos_uncertainty |" in capsys.readouterr().out
    assert picture.stat().st_size > 1000


def test_a_pool_mixes_both_kinds_and_depends_on_its_seed_alone():
    plan = replace(PLAN, shape=(32, 32, 6))
    (pool, held_out), (again, _), (other, _) = (made_cases(plan, seed) for seed in (1, 1, 2))
    assert sorted(case.label for case in pool) == [COMMON] * 3 + [RARE] * 2
    assert [case.label for case in held_out] == [COMMON, RARE]
    np.testing.assert_array_equal(pool[0].image, again[0].image)
    images = {case.image.tobytes() for case in (*pool, *held_out, *other)}
    assert len(images) == 2 * 5 + 2
    for case in pool:
        if case.label == RARE:  # brightness tells it
            assert case.image[case.mask].mean() > case.image[~case.mask].mean() + 50


@pytest.mark.parametrize("passes", [True, False])
def test_a_training_is_one_run_from_the_pool_to_what_the_gate_leaves_in_force(passes, tmp_path, monkeypatch):
    for name, value in {"KNOWN_CLIPS": 1, "KNOWN_FRAMES": 2, "KNOWN_SIZE": 32}.items():
        monkeypatch.setattr(learning, name, value)
    plan = Plan(
        common=1, rare=1, held_out=(1, 1), shape=(40, 40, 5),
        learning=LearningSettings(steps=1, frames=2, size=32, batch=1, accumulate=1, replay=0.0),
        propagation=PropagationConfig(size=48, precision=Precision.FLOAT32),
    )  # fmt: skip
    pool, held_out = made_cases(plan, 0)
    save_network(tmp_path / "narrow.safetensors", narrow_network())
    margin = 2 if passes else -2
    learn = BankLearn(
        tmp_path / "narrow.safetensors", plan, tmp_path, pool=pool, held_out=held_out,
        rules=GateRules(overall=margin, per_label=margin, known_looks=margin),
    )  # fmt: skip
    version = learn([pool[0].accepted()], UNTRAINED)
    assert (version.weights is not None) == passes == (version.identity != UNTRAINED.identity)
    assert (version.bank / "site" / "published.json").is_file() == passes
    if passes:
        assert learn([case.accepted() for case in pool], version).identity != version.identity
    told = [(one["volumes"], one["published"]) for one in learn.told]
    assert told == ([(1, True), (2, True)] if passes else [(1, False)])
