from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from imos_engine.network.checkpoint import add_metadata, load_network, read_metadata, save_network
from imos_engine.propagation import Propagator
from imos_engine.propagation.confidence import (
    EMPTY_FEATURES,
    MASK_FEATURES,
    METADATA_KEY,
    Calibration,
    Evidence,
    agreement,
    entropy,
    inside,
)
from tests.engine.narrow import narrow_network
from tests.engine.sequences import moving_frames, seed_on

from .carrying import propagate, propagator_of

MASK = Evidence(
    empty=False, inside=0.8, entropy=0.4, peak=1.0, presence=0.9, agreement=0.7, distance=4, change=0.2
)  # fmt: skip
ABSENCE = replace(Evidence.gone(4), presence=0.2, peak=0.1)
OTHER = Calibration(
    mask=dict.fromkeys(("intercept", *MASK_FEATURES), 0.5),
    empty=dict.fromkeys(("intercept", *EMPTY_FEATURES), 0.25),
    presence_threshold=0.35,
)


@pytest.mark.parametrize("calibration", [Calibration(), OTHER], ids=["default", "other"])
@pytest.mark.parametrize(
    ("evidence", "worse"),
    [
        (MASK, {"agreement": 0.5}),
        (MASK, {"inside": 0.6}),
        (MASK, {"entropy": 0.6}),
        (MASK, {"presence": 0.6}),
        (MASK, {"distance": 9}),
        (MASK, {"change": 0.9}),
        (ABSENCE, {"presence": 0.4}),
        (ABSENCE, {"peak": 0.45}),
    ],
)
def test_worse_evidence_lowers_confidence(calibration, evidence, worse):
    assert 0 < calibration.confidence(replace(evidence, **worse)) < calibration.confidence(evidence) < 1


def test_an_object_that_is_surely_absent_is_sure():
    assert Calibration().confidence(Evidence.gone(12)) > 0.9
    assert Calibration().confidence(replace(Evidence.gone(12), presence=1.0)) < 0.5


def test_a_perfect_mask_is_surer_than_a_vague_one_by_far():
    perfect = Evidence(
        empty=False, inside=1.0, entropy=0.0, peak=1.0, presence=1.0, agreement=1.0, distance=1, change=0.0
    )
    vague = Evidence(
        empty=False, inside=0.6, entropy=0.9, peak=0.7, presence=0.5, agreement=0.1, distance=20, change=1.5
    )
    assert Calibration().confidence(perfect) > 0.9
    assert Calibration().confidence(vague) < 0.3


def test_confidence_survives_coefficients_of_any_size():
    huge = Calibration(mask=dict.fromkeys(("intercept", *MASK_FEATURES), 1e6), empty=OTHER.empty)
    assert huge.confidence(MASK) == 1.0


def test_every_feature_has_its_coefficient():
    assert tuple(MASK.features) == MASK_FEATURES
    assert tuple(ABSENCE.features) == EMPTY_FEATURES


def test_agreement_is_the_overlap_of_the_two_passes():
    first, second = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    first[0, :2], second[0, 1:3] = 1, 1  # one row of three
    first[1, 0], second[1, 3] = 1, 1
    assert agreement(first, second).tolist() == pytest.approx([1 / 3, 0, 1])
    torch.testing.assert_close(agreement(first, second), agreement(second, first))
    assert agreement(first, first).tolist() == pytest.approx([1, 1, 1])


def test_inside_is_the_mean_probability_of_the_mask_s_pixels():
    probabilities = torch.tensor([[0.9, 0.7, 0.2]])
    assert inside(probabilities, probabilities > 0.5) == pytest.approx(0.8)
    assert inside(probabilities, probabilities > 1) == 0


def test_entropy_is_one_bit_for_a_coin_and_ignores_what_is_surely_outside():
    coin = torch.zeros(8, 8)
    coin[2:4] = 0.5
    assert entropy(coin) == pytest.approx(1)
    assert entropy(torch.zeros(8, 8)) == 0
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert entropy(torch.full((2, 2), 0.25)) == pytest.approx(quarter)


def test_a_calibration_travels_with_the_weights(tmp_path):
    path, copied = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    network = narrow_network()
    save_network(path, network, metadata={"steps": "12"}, dtype=torch.float16)
    add_metadata(path, OTHER.to_metadata(), output=copied)
    assert METADATA_KEY not in read_metadata(path)
    assert read_metadata(copied)["steps"] == "12"
    loaded = load_network(copied)
    plain = load_network(path).state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in loaded.state_dict().items())
    propagator = Propagator(loaded)
    assert propagator.calibration == OTHER
    assert Propagator(load_network(path)).calibration == Calibration()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"mask": {}, "empty": {}, "presence_threshold": 0.5}'])
def test_a_calibration_that_cannot_be_read_is_refused_with_the_remedy(text):
    with pytest.raises(ValueError, match="imos calibrate"):
        Calibration.from_metadata({METADATA_KEY: text})


@pytest.mark.parametrize(
    "wrong",
    [
        {"presence_threshold": 1.5},
        {"mask": {**OTHER.mask, "agreement": -0.1}},
        {"mask": {**OTHER.mask, "sureness": math.nan}},
        {"empty": {"intercept": 1.0}},
    ],
)
def test_a_calibration_that_would_mislead_cannot_be_made(wrong):
    with pytest.raises(ValueError, match=r"threshold|coefficients"):
        replace(OTHER, **wrong)


def test_annotated_frames_are_sure_of_what_was_said_there():
    seeds = [seed_on(0, 1, 2), seed_on(4, 1, objects={1, 2})]
    results = propagate(moving_frames(6), seeds)
    assert results[4].presence == {1: 1.0, 2: 0.0}
    assert results[4].confidence == {1: 1.0, 2: 1.0}
    assert results[4].evidence == {}
    assert results[2].evidence.keys() == results[2].presence.keys() == {1, 2}
    assert (results[2].evidence[1].distance, results[5].evidence[1].distance) == (2, 1)
    assert results[2].evidence[1].agreement is not None
    assert results[5].evidence[1].agreement is None


def test_confidence_is_the_calibration_s_answer_to_the_evidence():
    network = narrow_network()
    network.metadata = OTHER.to_metadata()
    for result in propagate(moving_frames(6), [seed_on(1, 1)], propagator=propagator_of(network)).values():
        for object_id, evidence in result.evidence.items():
            assert result.confidence[object_id] == OTHER.confidence(evidence)
            assert result.presence[object_id] == evidence.presence
            assert evidence.empty == (not (result.labels == object_id).any())
