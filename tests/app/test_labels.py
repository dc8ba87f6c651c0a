"""A name's id is the name's alone: saved label maps keep their meaning whatever is listed beside it."""

import json
import random

import pytest

from lib.labels import ANATOMY, DEFAULT_LABELS, DIGEST_IDS, FREE_NAMES, KNOWN, LabelError, label_id, read_labels

NAMES = ["left_kidney", "pituitary adenoma", "structure 2", "Liver", "screw"]


def test_ids_that_were_given_once_stay():
    """Label maps of earlier days hold these numbers; extend the table, never change it."""
    kept = {"liver": 1, "spleen": 2, "aorta": 21, "tumor": 36, "cell": 40, "nucleus": 85, "object": 100}
    assert {name: label_id(name) for name in kept} == kept
    assert label_id("structure 1") == 101
    assert label_id("pituitary adenoma") == 120
    assert label_id("screw") == 116


def test_an_id_depends_neither_on_the_order_nor_on_the_other_names():
    alone = {name: read_labels(name)[name] for name in NAMES}
    for seed in range(5):
        shuffled = random.Random(seed).sample(NAMES, len(NAMES))
        assert read_labels(",".join(shuffled)) == alone
        assert list(read_labels(",".join(shuffled))) == shuffled


def test_no_two_known_names_share_an_id_and_none_lies_where_unknown_names_go():
    assert len(set(KNOWN.values())) == len(KNOWN) == len(ANATOMY) + len(FREE_NAMES)
    assert min(KNOWN.values()) >= 1
    assert not set(KNOWN.values()) & set(DIGEST_IDS)
    assert {label_id(f"a name nobody thought of {number}") for number in range(3000)} == set(DIGEST_IDS)


def test_spelling_makes_no_difference_and_the_name_stays_as_it_was_written():
    assert read_labels("Left_Kidney") == {"Left_Kidney": ANATOMY["left kidney"]}
    assert label_id("Pituitary  Adenoma") == label_id("pituitary_adenoma")


def test_without_a_word_common_organs_and_free_structures_are_offered():
    assert read_labels("") == DEFAULT_LABELS
    assert {"liver", "heart", "spinal cord", "tumor", "structure 1", "structure 5"} <= set(DEFAULT_LABELS)
    assert len(DEFAULT_LABELS) <= 45  # OHIF shows all of them in one narrow table


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "# ours\nliver\n\n  screw \ncyst=200\n"),
        ("labels.txt", "\ufeffliver\r\nscrew\r\ncyst = 200"),
        ("labels.json", json.dumps({"background": 0, "liver": 1, "screw": 116, "cyst": 200})),
        ("labels", json.dumps({"liver": None, "screw": None, "cyst": 200})),
    ],
)
def test_a_file_says_what_a_list_says(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_labels(str(tmp_path / name)) == read_labels("liver, screw, cyst=200")


def test_a_json_list_of_names_is_a_list_of_names(tmp_path):
    (tmp_path / "labels.json").write_text('["liver", "screw"]')
    assert read_labels(str(tmp_path / "labels.json")) == read_labels("liver,screw")


def test_names_that_meet_at_one_id_are_refused_with_ids_that_work():
    first = "name 0"
    other = next(name for name in (f"name {n}" for n in range(1, 999)) if label_id(name) == label_id(first))
    with pytest.raises(LabelError, match="share an id") as refusal:
        read_labels(f"{first},{other}")
    remedy = str(refusal.value).partition("write ")[2].removesuffix(" in their place")
    assert read_labels(f"{first},{remedy}")[first] == label_id(first)


def test_an_id_that_was_chosen_stays_when_a_name_meets_it():
    with pytest.raises(LabelError, match=r"our own, liver \(1\); write liver=255 in"):
        read_labels("liver,our own=1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("liver, Liver", "listed twice"),
        ("left kidney,left_kidney", "listed twice"),
        ("liver=0", "1 to 255"),
        ("liver=256", "1 to 255"),
        ("liver=one", "1 to 255"),
        ("=3", "1 to 255"),
        ("liver,background=3", "leave it out"),
        (" , ", "no name"),
        ("/nowhere/labels.txt", "there is no file /nowhere/labels.txt"),
        ("labels.json", "there is no file labels.json"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_what_can(text, words):
    with pytest.raises(LabelError, match=words):
        read_labels(text)


@pytest.mark.parametrize(
    "content",
    ['{"liver": ', '{"liver": 1, "liver": 2}', '{"liver": "1"}', '{"liver": true}', '{"liver": 300}', "[3]", "{}", "7"],
)
def test_json_that_cannot_be_used_is_refused(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(LabelError):
        read_labels(str(tmp_path / "labels.json"))


def test_more_names_than_eight_bits_hold_are_refused():
    with pytest.raises(LabelError, match="256 names"):
        read_labels(",".join(f"name {number}" for number in range(256)))
