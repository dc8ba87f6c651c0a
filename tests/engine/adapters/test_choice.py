import numpy as np
import pytest

from imos_engine.adapters import AdapterBank, AdapterError
from imos_engine.adapters.bank import WEIGHTS
from imos_engine.adapters.choice import AdapterChoice, choose, modality_of
from tests.engine.adapters.made import BASE, made_card, made_weights

GREY = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
CT = np.linspace(-1000, 900, 64).reshape(4, 4, 4)


@pytest.fixture
def bank(tmp_path):
    bank = AdapterBank(tmp_path, base_sha256=BASE)
    for name, changes in {
        "abdomen": {"labels": ("liver", "spleen")},
        "liver": {"labels": ("liver",)},
        "chest": {"labels": ("lung",), "modalities": ("CT",)},
    }.items():
        bank.publish(name, bank.add(made_card(name, **changes), made_weights()).version)
    return bank


def chosen(bank, text, labels=("liver",), images=GREY):
    version = choose(bank, AdapterChoice.parse(text), labels=labels, images=images)
    return None if version is None else (version.card.name, version.card.version)


def test_none_is_no_adapter(bank):
    assert chosen(bank, "none") is None


def test_a_name_means_its_published_version_and_a_number_any_version(bank):
    bank.add(made_card("liver"), made_weights(seed=1))
    assert chosen(bank, "liver") == ("liver", 1)
    assert chosen(bank, "liver/2") == ("liver", 2)


def test_automatic_takes_the_version_that_knows_most_of_the_labels_and_the_look(bank):
    assert chosen(bank, "auto", ["liver", "spleen"]) == ("abdomen", 1)
    assert chosen(bank, "auto", ["lung"], CT) == ("chest", 1)


def test_automatic_takes_none_where_none_has_learned_the_label_or_the_look(bank):
    assert chosen(bank, "auto", ["heart"]) is None
    assert chosen(bank, "auto", []) is None
    assert chosen(bank, "auto", ["lung"], GREY) is None


def test_automatic_leaves_out_a_broken_version_that_a_name_would_refuse(bank):
    (bank.path("abdomen", 1) / WEIGHTS).write_bytes(b"")
    assert chosen(bank, "auto", ["liver", "spleen"]) == ("liver", 1)
    with pytest.raises(AdapterError, match="half-written"):
        chosen(bank, "abdomen")


@pytest.mark.parametrize("text", ["liver/two", "LIVER", "liver/", "../x"])
def test_a_choice_that_names_nothing_is_refused(text):
    with pytest.raises(AdapterError):
        AdapterChoice.parse(text)


@pytest.mark.parametrize(("text", "sentence"), [("heart", "no published version"), ("liver/9", "no version 9")])
def test_a_version_that_is_not_here_is_refused_with_what_is(bank, text, sentence):
    with pytest.raises(AdapterError, match=sentence):
        chosen(bank, text)


def test_looks_are_told_from_the_numbers():
    assert modality_of(CT) == "CT"
    assert modality_of(GREY) == "grey"
    assert modality_of(np.zeros((4, 4, 4, 3), np.uint8)) == "colour"
