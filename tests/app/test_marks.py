"""Whose mark is whose: clicks, painted segments and strokes sorted by object."""

import numpy as np
import pytest

from lib.errors import RequestError
from lib.infers.marks import collect_marks
from lib.infers.request import read_request

SHAPE = (6, 7, 8)
SCENE = [{"name": "liver", "id": 1}, {"name": "spleen", "id": 2}, {"name": "foreground_scribbles", "id": 3}]


def label_map(*ids):
    """Id n is painted on slice n."""
    labels = np.zeros(SHAPE, np.uint8)
    for number in ids:
        labels[2:4, 2:5, number] = number
    return labels


def marks_of(params, *ids, known_ids=None):
    request = read_request({"image": "image.nii.gz", **params}, label_file=None, default_device="cpu")
    marks = collect_marks(request, label_map(*ids) if ids else None, shape=SHAPE, known_ids=known_ids or {})
    return {entry.name: entry for entry in marks}


def test_clicks_belong_to_the_segment_being_edited_and_take_its_known_id():
    marks = marks_of({"foreground": [[1, 2, 3]], "selected_label_name": "spleen"}, known_ids={"spleen": 5})
    assert marks["spleen"].clicks.foreground == ((1, 2, 3),)
    assert marks["spleen"].object_id == 5


def test_clicks_without_a_name_belong_to_the_only_painted_segment():
    marks = marks_of({"foreground": [[1, 2, 3]]}, 4)
    assert marks.keys() == {"label_4"}
    assert marks["label_4"].clicks.foreground == ((1, 2, 3),)


def test_named_clicks_join_painted_segments():
    marks = marks_of({"foreground": {"liver": [[1, 2, 3]], "cyst": [[1, 1, 1]]}, "label_info": SCENE}, 1, 2)
    assert marks.keys() == {"liver", "spleen", "cyst"}
    assert marks["liver"].clicks.foreground
    assert not marks["spleen"].clicks.foreground
    assert len({entry.object_id for entry in marks.values()}) == 3


def test_objects_without_names_in_the_file_are_found_by_id():
    marks = marks_of({"objects": {"kidney": 2}}, 1, 2)
    assert marks.keys() == {"kidney"}
    assert marks["kidney"].painted.slices(2) == {2}


def test_a_scene_keeps_the_ids_that_its_names_have():
    marks = marks_of({"label_info": SCENE, "selected_label_name": "spleen"}, 3)
    assert marks["spleen"].object_id == 2
    assert marks["spleen"].strokes.slices(2) == {3}


@pytest.mark.parametrize(
    ("mode", "painted", "strokes"), [("auto", {1}, {3}), ("mask", {1, 3}, None), ("scribble", None, {1, 3})]
)
def test_the_seed_mode_says_what_painted_voxels_mean(mode, painted, strokes):
    marks = marks_of({"label_info": SCENE, "selected_label_name": "liver", "seed_mode": mode}, 1, 3)["liver"]
    assert (marks.painted and marks.painted.slices(2)) == painted
    assert (marks.strokes and marks.strokes.slices(2)) == strokes


@pytest.mark.parametrize(
    ("params", "ids", "words"),
    [
        ({"label_info": SCENE}, (1, 2, 3), ["strokes", "2 objects", "selected_label_name"]),
        ({"label_info": SCENE, "objects": {"liver": 1, "spleen": 2}}, (1, 2, 3), ["strokes", "2 objects"]),
        ({"foreground": [[1, 2, 3]]}, (1, 2), ["points without a name", "label_1, label_2"]),
        ({"selected_label_name": "liver"}, (1, 2), ["ids 1, 2", "'liver'", "label_info"]),
        ({"label_info": SCENE, "selected_label_name": "cyst"}, (1, 2), ["no seed for 'cyst'", "liver, spleen"]),
        ({"objects": {"cyst": 9}}, (1, 2), ["no seed for 'cyst'", "1, 2"]),
    ],
)
def test_marks_that_could_belong_to_several_objects_or_none_are_refused(params, ids, words):
    with pytest.raises(RequestError) as refusal:
        marks_of(params, *ids)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)
