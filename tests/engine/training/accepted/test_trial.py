"""What a candidate is compared with: what serves, wherever that is fair."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from imos_engine.adapters import LearnedCase
from imos_engine.adapters.gate import GateRules, judge
from imos_engine.sequence import frames_along
from imos_engine.training.accepted import trial as module
from imos_engine.training.accepted.trial import Trial
from tests.engine.adapters.made import made_card
from tests.engine.training.accepted.made import ball_volume

BARE, SERVING, BETTER = "bare", "serving", "better"
LOST = {BARE: 6, SERVING: 2, BETTER: 1}  # rows of the ball that whoever carries it misses
VOLUME = ball_volume(0)


class Propagator:
    """Wears what it is told to; how much it misses depends on that alone."""

    def wear(self, weights, *, identity):
        self.worn = weights or BARE


@pytest.fixture(autouse=True)
def made_up_carrying(monkeypatch):
    def carried(propagator, volume):
        truth = np.array(frames_along(volume.labels, volume.axis))
        for frame in truth:
            frame[np.flatnonzero(frame.any(axis=1))[: LOST[propagator.worn]]] = 0
        return truth

    monkeypatch.setattr(module, "carried_labels", carried)


def version(**changes):
    return SimpleNamespace(weights=SERVING, card=made_card(**{"cases": (), **changes}))


def case(volume, role="training"):
    return LearnedCase(image_sha256=volume.image_sha256, label_sha256=volume.label_sha256, role=role)


def compared(in_force, candidate=BETTER, volume=VOLUME):
    trial = Trial(propagator=Propagator(), in_force=in_force)
    trial.compare([volume], candidate)
    (pair,) = trial.pairs
    return pair


def score(worn):
    return compared(None, candidate=worn).after


def test_the_makeshift_is_in_order():
    assert score(BARE) < score(SERVING) < score(BETTER) < 1


def test_without_a_version_in_force_the_network_alone_is_beaten():
    assert compared(None).before == score(BARE)


@pytest.mark.parametrize("cases", [(), (case(VOLUME, "validation"),), (case(ball_volume(1)),)])
def test_what_serves_is_beaten_on_images_that_it_did_not_learn_from(cases):
    assert compared(version(cases=cases)).before == score(SERVING)


OWN = {"pairs": [{"image": VOLUME.image_sha256, "label": "ball", "before": 0.1, "after": 0.625}]}
BOTH = (case(VOLUME), case(ball_volume(1)))


def test_what_serves_is_not_asked_for_what_it_has_by_heart_but_for_its_own_cross_validation():
    assert compared(version(cases=BOTH, metrics=OWN)).before == 0.625
    assert compared(version(cases=BOTH)).before == score(BARE)
    half, _ = VOLUME.halves()
    own = {"pairs": [{**OWN["pairs"][0], "image": f"{VOLUME.image_sha256}/0"}]}
    assert compared(version(cases=(case(VOLUME),), metrics=own), volume=half).before == 0.625


@pytest.mark.parametrize(
    ("changes", "volume"),
    [
        ({"provisional": False}, VOLUME),
        ({"cases": (replace(case(VOLUME), label_sha256="other"), case(ball_volume(1)))}, VOLUME),
        ({}, VOLUME.halves()[0]),
    ],
    ids=["not cross-validated", "the label changed", "half of what was measured"],
)
def test_a_number_that_was_measured_otherwise_is_not_compared_with(changes, volume):
    in_force = version(**{"cases": BOTH, "metrics": OWN, **changes})
    assert compared(in_force, volume=volume).before == compared(None, volume=volume).before


def test_who_beats_the_network_alone_and_not_what_serves_is_refused():
    trial = Trial(propagator=Propagator(), in_force=version())
    LOST["worse"] = 4
    trial.compare([ball_volume(seed) for seed in range(3)], "worse")
    assert score(BARE) < compared(None, candidate="worse").after
    assert not judge(trial.pairs, known_looks=None, rules=GateRules()).passes


def test_a_trial_can_be_stopped_before_every_carry():
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Trial(propagator=Propagator(), in_force=None, look_up=stop).compare([VOLUME], BETTER)
