"""Label files from scripts, and scenes from Slicer.

The network of these tests fills its window on every slice that it is carried to: that tells the carried from the given.
"""

import numpy as np
import pytest

from imos_engine.metrics.overlap import dice
from tests.app.images import BALL, FOUND, SEED_SLICE, SHAPE, on_slices, save_nifti


def test_slices_of_a_label_file_come_back_as_they_were_given(server, label_file):
    seed = on_slices(BALL, [4, 7])
    labels, answer = server.infer("plain", {}, label=label_file(seed))
    np.testing.assert_array_equal(labels[..., [4, 7]], seed[..., [4, 7]])
    given = seed.any(axis=(0, 1)).nonzero()[0].tolist()
    largest = max(int(seed[..., index].sum()) for index in given)
    assert all(labels[..., index].sum() > 2 * largest for index in set(range(12)) - set(given))
    assert [seed["mode"] for seed in answer["imos"]["seeds"]] == ["mask", "mask"]


def test_the_uploaded_label_file_counts_whatever_label_the_json_names(server, label_file, tmp_path):
    save_nifti(tmp_path / "other.nii.gz", on_slices(BALL, [2]))
    seed = on_slices(BALL, [7])
    for name in ("liver", str(tmp_path / "other.nii.gz")):
        labels, answer = server.infer("plain", {"label": name, "propagate": False}, label=label_file(seed))
        np.testing.assert_array_equal(labels, seed)
        assert answer["label_names"] == {name: 1}


def test_several_labels_of_a_file_keep_their_ids(server, label_file):
    seed = on_slices(BALL, [5], 4)
    seed[2:6, 38:44, 8] = 7
    labels, answer = server.infer("plain", {"propagate": "false"}, label=label_file(seed))
    np.testing.assert_array_equal(labels, seed)
    assert answer["label_names"] == {"label_4": 4, "label_7": 7}
    named, answer = server.infer("plain", {"propagate": False, "objects": {"kidney": 7}}, label=label_file(seed))
    np.testing.assert_array_equal(named, np.where(seed == 7, 7, 0))
    assert answer["label_names"] == {"kidney": 7}


def test_a_label_file_of_strokes_becomes_masks(server, label_file):
    strokes = np.zeros(SHAPE, np.uint8)
    strokes[18:27, 17, SEED_SLICE] = 1
    strokes[2:38, 45, SEED_SLICE] = 2
    labels, answer = server.infer("plain", {"seed_mode": "scribble", "propagate": False}, label=label_file(strokes))
    assert dice(labels == 1, on_slices(BALL, [SEED_SLICE]) > 0) > FOUND
    assert not (labels == 2)[BALL].any()
    assert {seed["mode"] for seed in answer["imos"]["seeds"]} == {"scribble"}


SCENE = [
    {"name": "liver", "id": 1},
    {"name": "spleen", "id": 2},
    {"name": "background_scribbles", "id": 3},
    {"name": "foreground_scribbles", "id": 4},
]


def scene():
    """Two painted segments and two kinds of strokes, as Slicer exports them."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:8, 36:44, 8] = 1
    labels[2:38, 45, SEED_SLICE] = 3
    labels[2, 2:40, SEED_SLICE] = 3
    labels[18:27, 17, SEED_SLICE] = 4
    labels[22, 14:21, SEED_SLICE] = 4
    return labels


@pytest.mark.parametrize(("name", "value"), [("spleen", 2), ("liver", 1)])
def test_slicers_scribbles_are_answered_with_the_selected_segment_alone(server, label_file, name, value):
    params = {"label_info": SCENE, "selected_label_name": name, "roi": [], "result_extension": ".nrrd"}
    labels, answer = server.infer("plain", params, model="imos_scribbles", label=label_file(scene()))
    assert set(np.unique(labels)) == {0, value}
    assert answer["label_names"] == {name: value}
    assert dice(labels[..., SEED_SLICE] > 0, BALL[..., SEED_SLICE]) > FOUND  # strokes belong to the selected segment
    if name == "liver":  # and so does what was painted under its name
        np.testing.assert_array_equal(labels[..., 8], (scene() == 1)[..., 8])


def test_two_painted_segments_are_carried_together_when_both_are_asked_for(server, label_file):
    painted = np.where(scene() == 1, 1, 0).astype(np.uint8)
    painted[..., SEED_SLICE] = BALL[..., SEED_SLICE] * 2
    params = {"label_info": SCENE, "objects": {"liver": 11, "spleen": 12}, "propagate": False}
    labels, answer = server.infer("plain", params, model="imos_scribbles", label=label_file(painted))
    np.testing.assert_array_equal(labels, np.choose(painted, [0, 11, 12]))
    assert answer["label_names"] == {"liver": 11, "spleen": 12}


def test_a_reply_that_comes_back_in_its_segment_is_not_taken_for_marks(server, label_file):
    params = {
        "label_info": SCENE,
        "selected_label_name": "spleen",
        "roi": [],
        "slice_axis": "2",
        "client_id": "one Slicer",
    }

    def update(painted):
        """One press of Slicer's button: the scene goes out, the reply replaces the segment."""
        labels, answer = server.infer("ct", params, model="imos_scribbles", label=label_file(painted))
        return labels, {seed["slice"]: seed["pixels"] for seed in answer["imos"]["seeds"]}

    pixels = int(BALL[..., 6].sum())
    first, seeds = update(on_slices(BALL, [6], 2))
    assert seeds == {6: pixels}
    again, seeds = update(first)
    assert seeds == {6: pixels}
    np.testing.assert_array_equal(again, first)

    repainted = first.copy()
    repainted[..., 9] = 0
    repainted[4:8, 4:8, 9] = 2
    repainted[..., 1] = 0
    corrected, seeds = update(repainted)
    assert seeds == {6: pixels, 9: 16, 1: 0}
    np.testing.assert_array_equal(corrected[..., [1, 6, 9]], repainted[..., [1, 6, 9]])
    assert (corrected[..., 8] == 2).sum() > 2 * pixels

    _, seeds = update(on_slices(BALL, [3], 2))  # the person cleared the segment and began anew
    assert seeds == {3: int(BALL[..., 3].sum())}
