"""Which image next: properties of the choice, without a server."""

import json
import random
import warnings

import pytest

from imos_engine.adapters import AdapterBank, Card
from lib.activelearning.choice import Candidate, Order, choose_next
from lib.scoring.quality import proposal_scores

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MONAI Label warns about the versions of its own dependencies
    from lib.activelearning.strategies import NextImage

NOW = 1e6


class Shelf:
    """A datastore as the strategies ask it: what is proposed and accepted on each image, by name."""

    def __init__(self, images, *, proposed=None, accepted=None):
        self._images, self._labels = images, {"original": proposed or {}, "final": accepted or {}}

    def list_images(self):
        return self._images

    def get_label_by_image_id(self, image, tag):
        return image if image in self._labels[tag] else ""

    def get_label_info(self, label, tag):
        if tag == "final":
            return {"label_info": [{"name": name} for name in self._labels[tag][label]]}
        confidence = {name: {"0": value} for name, value in self._labels[tag][label].items()}
        return {"params": {"imos": {"confidence": confidence}}}

    def get_image_info(self, image):
        return {}

    def get_image_uri(self, image):
        return f"/nowhere/{image}.nii.gz"


def proposed(image, **uncertainty):
    return Candidate(image=image, lacks=frozenset(uncertainty), uncertainty=uncertainty)


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
    candidates = [proposed("sure", liver=0.1), proposed("unsure", liver=0.3)]
    assert shares(candidates, Order.UNCERTAINTY, counts={"liver": 60})["unsure"] == 1
    assert 0.5 < shares(candidates, Order.UNCERTAINTY)["unsure"] < 1


def test_uncertainty_is_weighed_by_how_rare_the_label_is():
    candidates = [
        proposed("common", liver=0.6),
        proposed("rare", tumor=0.4),
    ]
    assert chosen(candidates, Order.UNCERTAINTY, counts={"liver": 99, "tumor": 0}).image == "rare"
    assert chosen(candidates, Order.UNCERTAINTY, counts={"liver": 99, "tumor": 99}).image == "common"


@pytest.mark.parametrize("label", ["a", "b"])
def test_of_one_image_the_label_with_most_open_decides(label):
    sure_of_one = proposed("two", **{"a": 0.1, "b": 0.1, label: 0.8})
    assert (
        chosen([proposed("one", a=0.5, b=0.5), sure_of_one], Order.UNCERTAINTY, counts={"a": 50, "b": 50}).image
        == "two"
    )


def test_noise_decays_against_uncertainties_of_a_single_label():
    """What is accepted often must not shrink uncertainties along with the noise."""
    candidates = [proposed("sure", liver=0.2), proposed("unsure", liver=0.3)]
    found = [shares(candidates, Order.UNCERTAINTY, counts={"liver": count})["unsure"] for count in (0, 4, 8)]
    assert 0.5 < found[0] < found[1] < found[2] == 1


def test_an_image_without_a_proposal_counts_as_half_unsure():
    candidates = [
        proposed("sure", x=0.2),
        Candidate(image="unknown", lacks=frozenset({"x"})),
        proposed("b", x=0.9),
    ]
    assert chosen(candidates, Order.UNCERTAINTY, counts={"x": 99}).image == "b"
    assert chosen(candidates[:2], Order.UNCERTAINTY, counts={"x": 99}).image == "unknown"


def test_scores_are_read_from_the_reply_that_was_saved():
    reply = {"confidence": {"liver": {"3": 0.9, "4": 0.5}, "spleen": {}}, "seeds": [{"axis": 1}]}
    scores = proposal_scores({"model": "imos", "params": {"imos": reply}})
    assert scores["uncertainty"] == {"liver": pytest.approx(0.3)}
    assert scores["weakest"] == {"slice": 4, "axis": 1, "label": "liver", "confidence": 0.5}
    assert proposal_scores({"name": "painted by hand"}) == {}


def asked(shelf, order, *, bank=None, **request):
    return NextImage(order, bank=bank, chance=random.Random(0))({"strategy": order.value, **request}, shelf)


@pytest.mark.parametrize("order", Order)
def test_only_images_without_an_accepted_label_are_returned(order):
    assert asked(Shelf(["a", "b"], accepted={"a": ["liver"]}), order)["id"] == "b"
    assert asked(Shelf(["a"], accepted={"a": ["liver"]}), order) is None


def test_what_was_proposed_on_an_image_tells_which_labels_it_should_get():
    shelf = Shelf(["a", "b"], accepted={"a": ["liver", "tumor"]}, proposed={"b": {"liver": 0.9}})
    assert asked(shelf, Order.FOREGROUND)["imos_labels"] == ["liver"]
    assert asked(shelf, Order.FOREGROUND, labels="liver,tumor")["imos_labels"] == ["liver", "tumor"]


def test_an_image_is_finished_when_it_has_what_was_proposed_on_it():
    accepted = {"a": ["liver"], "b": ["tumor"]}
    both = {image: {"liver": 0.9, "tumor": 0.9} for image in "ab"}
    assert asked(Shelf(["a", "b"], accepted=accepted, proposed={"a": {"liver": 0.9}}), Order.FOREGROUND)["id"] == "b"
    assert asked(Shelf(["a", "b"], accepted=accepted, proposed=both), Order.FOREGROUND) is not None
    single = {"a": {"liver": 0.9}, "b": {"tumor": 0.9}}
    assert asked(Shelf(["a", "b"], accepted=accepted, proposed=single), Order.FOREGROUND) is None


@pytest.mark.parametrize("order", [Order.FOREGROUND, Order.UNCERTAINTY])
def test_a_rarely_accepted_label_comes_before_a_frequent_one(order):
    images = [f"done_{number}" for number in range(30)]
    accepted = {image: ["liver"] for image in images}
    proposed = {"frequent": {"liver": 0.5}, "rare": {"tumor": 0.5}}
    assert asked(Shelf([*images, *proposed], accepted=accepted, proposed=proposed), order)["id"] == "rare"


def test_a_label_that_is_accepted_already_is_not_open():
    proposed = {"done": {"liver": 0.1, "tumor": 0.9}, "open": {"liver": 0.7, "tumor": 0.6}}
    shelf = Shelf(["done", "open"], accepted={"done": ["liver"]}, proposed=proposed)
    answer = [asked(shelf, Order.UNCERTAINTY, labels=["liver", "tumor"])["id"] for _ in range(5)]
    assert answer == ["open"] * 5


def test_the_last_training_says_whether_further_labels_help(tmp_path):
    shelf = Shelf(["a"])
    assert "imos_advice" not in asked(shelf, Order.FIRST, bank=tmp_path)
    card = Card(
        name="site", version=1, parent=None, created="2020-01-01T00:00:00+00:00", base_sha256="", weights_sha256="",
        labels=("liver",), modalities=("grey",), cases=(), metrics={"advice": "annotate another look."},
    )  # fmt: skip
    folder = AdapterBank(tmp_path, base_sha256="").path("site", 1)
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps(card.to_dict()))
    assert asked(shelf, Order.FIRST, bank=tmp_path)["imos_advice"] == "annotate another look."
