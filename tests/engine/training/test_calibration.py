from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imos_engine.cli import main
from imos_engine.cli.calibrate import figures
from imos_engine.network.checkpoint import load_network, save_network
from imos_engine.propagation import Propagator
from imos_engine.propagation.confidence import Calibration, Evidence
from imos_engine.training.calibration import (
    Calibrated,
    CalibrationConfig,
    Slice,
    best_threshold,
    cross_validated,
    fitted,
    j_by_threshold,
    seeds_of,
)
from imos_engine.training.reliability import binned, calibration_error, rank_correlation
from tests.engine.narrow import narrow_network

TRUE = Calibration(
    mask={
        "intercept": -3.0, "sureness": 2.0, "crispness": 3.0, "presence": 1.0, "passes": -1.0,
        "agreement": 2.5, "nearness": 0.5, "steadiness": 1.5,
    },
    empty={"intercept": -1.0, "absence": 3.0, "silence": 1.0},
)  # fmt: skip


def made_up(count: int) -> list[Slice]:
    """Slices whose Dice is what TRUE expects of their evidence."""
    random = np.random.default_rng(0)
    slices = []
    for number in range(count):
        empty = number % 4 == 0
        inside, entropy, peak, presence, shared = random.random(5)
        evidence = Evidence(
            empty=empty,
            inside=0.0 if empty else inside,
            entropy=entropy,
            peak=peak,
            presence=presence,
            agreement=shared if number % 3 else None,
            distance=int(random.integers(1, 20)),
            change=float(random.random()),
        )
        slices.append(slice_of(evidence, clip=number % 10, dice=TRUE.confidence(evidence)))
    return slices


def slice_of(evidence, *, clip=0, is_later=True, dice=1.0, j=1.0, truly_absent=False) -> Slice:
    return Slice(
        clip=clip, object_id=1, is_later=is_later, evidence=evidence, dice=dice, j=j, truly_absent=truly_absent
    )


def seen(presence: float, distance: int) -> Evidence:
    return replace(Evidence.gone(distance), empty=False, presence=presence)


def test_a_known_relation_is_recovered():
    slices = made_up(8000)
    found, start = fitted(slices, Calibration()), Calibration()
    errors = {
        name: np.mean([abs(one.confidence(item.evidence) - TRUE.confidence(item.evidence)) for item in slices])
        for name, one in (("fitted", found), ("start", start))
    }
    assert errors["fitted"] < 0.02
    assert errors["fitted"] < 0.2 * errors["start"]
    assert found.mask == pytest.approx(dict(TRUE.mask), abs=0.5)


def test_no_slice_leaves_the_prior_and_one_hardly_moves_it():
    assert fitted([], TRUE) == TRUE
    moved = fitted([slice_of(seen(0.9, 3), dice=0.0)], TRUE)
    assert moved.empty == TRUE.empty
    assert 0 < max(abs(moved.mask[name] - TRUE.mask[name]) for name in TRUE.mask) < 0.5


def test_evidence_that_misleads_is_ignored_rather_than_turned_round():
    slices = [replace(one, dice=1 - one.evidence.presence) for one in made_up(2000) if not one.evidence.empty]
    assert fitted(slices, TRUE).mask["presence"] == 0


def test_cross_validation_learns_nothing_from_the_clip_that_it_judges():
    alone = [replace(one, clip=one.clip % 5) for one in made_up(800)]
    flipped = [replace(one, dice=1 - one.dice) if one.clip == 0 else one for one in alone]
    judged = [position for position, one in enumerate(alone) if one.clip == 0]
    np.testing.assert_array_equal(cross_validated(alone, TRUE)[judged], cross_validated(flipped, TRUE)[judged])


def test_the_threshold_hides_leaks_and_keeps_objects():
    present = [slice_of(seen(0.7, distance), j=0.9) for distance in range(1, 6)]
    leaks = [slice_of(seen(0.2, distance), clip=1, j=0.0, truly_absent=True) for distance in range(1, 6)]
    scores = j_by_threshold([*present, *leaks], end_after=None)
    assert scores[0.1] == pytest.approx(0.45)
    assert scores[0.5] == pytest.approx(0.95)
    assert scores[0.9] == pytest.approx(0.5)
    assert best_threshold(scores) == 0.5


def test_what_was_absent_for_long_does_not_come_back_and_the_other_side_is_apart():
    presence = [0.9, 0.1, 0.1, 0.1, 0.9, 0.9]
    later = [slice_of(seen(value, distance), j=0.8) for distance, value in enumerate(presence, start=1)]
    earlier = [replace(one, is_later=False, evidence=replace(one.evidence, presence=0.9)) for one in later]
    shuffled = [later[3], *earlier, *later[:3], *later[4:]]
    assert j_by_threshold(shuffled, end_after=3)[0.5] == pytest.approx((1 + 6) * 0.8 / 12)
    assert j_by_threshold(shuffled, end_after=None)[0.5] == pytest.approx((3 + 6) * 0.8 / 12)


def test_of_equally_good_thresholds_the_middle_one_is_taken():
    assert best_threshold({0.1: 0.8, 0.45: 0.8004, 0.9: 0.8009, 0.5: 0.7}) == 0.45
    assert best_threshold({}) == 0.5


def test_seeds_are_true_and_hold_only_what_all_of_them_speak_about():
    labels = np.zeros((16, 20, 20), dtype=np.uint8)
    labels[:9, 2:6, 2:6], labels[4:, 10:15, 10:15] = 1, 2
    seeds = seeds_of(labels, both_ends=True)
    assert [seed.index for seed in seeds] == [2, 8]
    assert {seed.objects for seed in seeds} == {frozenset({1})}
    assert all(((seed.labels == 1) == (labels[seed.index] == 1)).all() and seed.labels.max() == 1 for seed in seeds)
    assert [(seed.index, seed.objects) for seed in seeds_of(labels, both_ends=False)] == [(5, frozenset({1, 2}))]


def test_calibration_error_is_zero_for_the_truth_and_the_offset_for_a_boast():
    true = np.linspace(0.02, 0.78, 300)
    assert calibration_error(true, true) == pytest.approx(0)
    assert calibration_error(true + 0.2, true) == pytest.approx(0.2)
    assert rank_correlation(true + 0.2, true) == pytest.approx(1)
    assert rank_correlation(1 - true, true) == pytest.approx(-1)
    assert np.isnan(rank_correlation(np.ones(5), true[:5]))
    assert np.isnan(calibration_error(true[:0], true[:0]))
    assert binned(np.array([0.0, 1.0]), np.array([0.0, 1.0]))[2].tolist() == [1, 1]


def test_rightly_empty_slices_do_not_hide_that_less_sure_masks_are_worse():
    dice, expected = np.array([0.5, 0.7, 0.9, 1.0, 1.0]), np.array([0.6, 0.75, 0.95, 0.4, 0.5])
    shown = np.array([True, True, True, False, False])
    found = Calibrated(
        calibration=Calibration(), dice=dice, expected=expected, uncalibrated=expected, shown=shown, j_by_threshold={}
    )
    assert figures(found)["rank_correlation"] == pytest.approx(1)


@pytest.mark.parametrize("wrong", [{"clips": 1}, {"frames": 4}])
def test_clips_that_cannot_calibrate_are_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        CalibrationConfig(**wrong)


def test_the_command_writes_a_calibration_that_propagation_finds(tmp_path, capsys):
    weights, picture = tmp_path / "narrow.safetensors", tmp_path / "reliability.png"
    save_network(weights, narrow_network())
    small = ["--clips", "2", "--frames", "8", "--size", "32", "--device", "cpu"]
    assert main(["calibrate", "--weights", str(weights), *small, "--picture", str(picture)]) == 0
    assert '"presence_threshold"' in capsys.readouterr().out
    assert picture.stat().st_size > 1000
    propagator = Propagator(load_network(weights))
    assert propagator.calibration != Calibration()


@pytest.mark.parametrize("more", [["--weights", "a.pth"], ["--weights", "a.safetensors", "--output", "no/b"]])
def test_files_that_cannot_be_calibrated_are_refused_before_any_work(more, capsys):
    assert main(["calibrate", *more]) == 1
    assert "imos calibrate: " in capsys.readouterr().err
