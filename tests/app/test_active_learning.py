"""Which image next: properties of the choice, without a server."""

import random

import pytest

from lib.activelearning.choice import Candidate, Order, choose_next
from lib.scoring.quality import proposal_scores

NOW = 1e6


def chosen(candidates, order, *, counts=None, seed=0):
    return choose_next(candidates, order, counts=counts or {}, now=NOW, chance=random.Random(seed))


def shares(candidates, order, *, counts=None, draws=300):
    names = [chosen(candidates, order, counts=counts, seed=seed).image for seed in range(draws)]
    return {candidate.image: names.count(candidate.image) / draws for candidate in candidates}


@pytest.mark.parametrize("order", Order)
def test_without_an_image_there_is_no_next_one(order):
    assert chosen([], order) is None


def test_first_is_the_first_by_name():
    assert chosen([Candidate(image="a"), Candidate(image="b")], Order.FIRST).image == "a"


@pytest.mark.parametrize("order", [Order.RANDOM, Order.FOREGROUND])
def test_what_was_just_shown_is_hardly_shown_again(order):
    found = shares([Candidate(image="old", seen=0), Candidate(image="new", seen=NOW - 10)], order)
    assert found["old"] > 0.95


def test_foreground_prefers_images_that_lack_a_rare_label():
    candidates = [Candidate(image="rare", lacks=frozenset({"tumor"})), Candidate(image="b", lacks=frozenset({"liver"}))]
    found = shares(candidates, Order.FOREGROUND, counts={"liver": 9, "tumor": 0})
    assert 0.8 < found["rare"] < 1


def test_uncertainty_takes_the_least_certain_once_the_noise_has_decayed():
    candidates = [Candidate(image=name, uncertainty=value) for name, value in (("sure", 0.1), ("unsure", 0.3))]
    assert shares(candidates, Order.UNCERTAINTY, counts={"liver": 60})["unsure"] == 1
    assert 0.5 < shares(candidates, Order.UNCERTAINTY)["unsure"] < 1


def test_uncertainty_is_weighed_by_how_rare_the_label_is():
    candidates = [
        Candidate(image="common", uncertainty=0.6, lacks=frozenset({"liver"})),
        Candidate(image="rare", uncertainty=0.4, lacks=frozenset({"tumor"})),
    ]
    assert chosen(candidates, Order.UNCERTAINTY, counts={"liver": 99, "tumor": 0}).image == "rare"


def test_an_image_without_a_proposal_counts_as_half_unsure():
    candidates = [
        Candidate(image="sure", uncertainty=0.2),
        Candidate(image="unknown"),
        Candidate(image="b", uncertainty=0.9),
    ]
    assert chosen(candidates, Order.UNCERTAINTY, counts={"x": 99}).image == "b"
    assert chosen(candidates[:2], Order.UNCERTAINTY, counts={"x": 99}).image == "unknown"


def test_scores_are_read_from_the_reply_that_was_saved():
    reply = {"confidence": {"liver": {"3": 0.9, "4": 0.5}, "spleen": {}}, "seeds": [{"axis": 1}]}
    scores = proposal_scores({"model": "imos", "params": {"imos": reply}})
    assert scores["uncertainty"] == {"liver": pytest.approx(0.3)}
    assert scores["weakest"] == {"slice": 4, "axis": 1, "label": "liver", "confidence": 0.5}
    assert proposal_scores({"name": "painted by hand"}) == {}
