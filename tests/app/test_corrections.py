"""A further request refines: what was said stays said, and only what a correction reaches changes.

The network of these tests fills its window on every slice that it is carried to.
"""

import numpy as np
import pytest

from tests.app.images import BALL, CENTRE, CLICKS, SHAPE, on_slices
from tests.app.sessions import Session, changed_slices, seeds_of, square
from tests.app.test_bad_requests import refused


@pytest.fixture
def session(server):
    """A client on an image, of whom the server knows nothing yet."""
    return Session(server)


@pytest.fixture
def three_seeds(session, label_file):
    """The same, after painting slices 1, 5 and 10; with what was answered."""
    return session, *session.send(label=label_file(on_slices(BALL | square(1).astype(bool), [1, 5, 10])))


def test_only_the_stretch_between_the_neighbouring_seeds_of_a_corrected_slice_changes(three_seeds, label_file):
    session, first, before = three_seeds
    corrected, imos = session.send(label=label_file(square(7)))
    assert seeds_of(imos) == [(2, 1, "mask"), (2, 5, "mask"), (2, 7, "mask"), (2, 10, "mask")]
    assert imos["recomputed"] == {"label_1": [6, 9]}
    assert set(changed_slices(first, corrected)) <= {6, 7, 8, 9}
    np.testing.assert_array_equal(corrected[..., 7], square(7)[..., 7])
    timings = imos["timings"]
    assert timings["frames"] < before["timings"]["frames"]
    assert timings["encode"] == 0 or timings["cached_frames"] > 0


def test_a_slice_painted_again_replaces_what_was_painted_there(three_seeds, label_file):
    session, first, _ = three_seeds
    corrected, imos = session.send(label=label_file(square(5, low=2, high=9)))
    assert seeds_of(imos) == [(2, 1, "mask"), (2, 5, "mask"), (2, 10, "mask")]
    np.testing.assert_array_equal(corrected[..., 5], square(5, low=2, high=9)[..., 5])
    assert set(changed_slices(first, corrected)) <= set(range(2, 10))


def test_saying_the_same_again_changes_nothing(three_seeds, label_file):
    session, first, before = three_seeds
    again, imos = session.send(label=label_file(on_slices(BALL | square(1).astype(bool), [1, 5, 10])))
    np.testing.assert_array_equal(again, first)
    assert imos["recomputed"] == {}
    assert imos["history"] == before["history"]


def test_a_client_that_sends_all_its_marks_each_time_refines(session, label_file):
    session.always |= {
        "selected_label_name": "liver",
        "label_info": [{"name": "liver", "id": 1}, {"name": "foreground_scribbles", "id": 2}],
    }
    strokes = square(2, low=12, high=14, value=2)
    session.send(label=label_file(strokes))
    session.send(label=label_file(strokes + square(5)))
    first, _ = session.send(label=label_file(strokes + square(5) + square(9)))
    corrected, imos = session.send(label=label_file(strokes + square(5) + square(9) + square(7)))
    assert imos["recomputed"] == {"liver": [6, 8]}
    assert set(changed_slices(first, corrected)) <= {6, 7, 8}
    assert seeds_of(imos) == [(2, 2, "scribble"), (2, 5, "mask"), (2, 7, "mask"), (2, 9, "mask")]


def test_a_region_limits_what_a_correction_changes(session, label_file):
    first, _ = session.send(label=label_file(on_slices(BALL, [5])))
    region = np.zeros(SHAPE, bool)
    region[8:33, 4:31, 7:10] = True
    corrected, imos = session.send(label=label_file(square(8)), roi=[8, 32, 4, 30, 7, 9])
    assert imos["recomputed"] == {"label_1": [7, 9]}
    assert not (corrected != first)[~region].any()
    np.testing.assert_array_equal(corrected[8:33, 4:31, 8], square(8)[8:33, 4:31, 8])


def test_other_objects_come_back_as_they_were(session, label_file):
    info = [{"name": "liver", "id": 1}, {"name": "spleen", "id": 2}]
    painted = on_slices(BALL, [5]) + square(8, low=25, high=35, value=2)
    first, _ = session.send(label=label_file(painted), label_info=info)
    corrected, imos = session.send(foreground={"spleen": [[30, 30, 10]]}, background={"spleen": [[3, 3, 10]]})
    assert set(imos["recomputed"]) == {"spleen"}
    lost = (first == 1) & (corrected != 1)
    assert (corrected[lost] == 2).all()  # what the corrected object now holds, and nothing else
    assert not ((first != 1) & (corrected == 1)).any()
    np.testing.assert_array_equal(corrected[..., 5] == 1, painted[..., 5] == 1)  # a person's pixels stay that person's
    assert not set(changed_slices(first == 2, corrected == 2)) & set(range(9))


def test_a_request_for_one_object_takes_nothing_from_the_others(session, label_file):
    info = [{"name": "liver", "id": 1}, {"name": "spleen", "id": 2}]
    first, _ = session.send(label=label_file(on_slices(BALL, [5])), label_info=info[:1])
    spleen, _ = session.send(foreground=[[30, 40, 8]], selected_label_name="spleen")
    assert set(np.unique(spleen)) == {0, 2}
    liver, _ = session.send(selected_label_name="liver")
    np.testing.assert_array_equal(liver, first)


def test_points_that_repeat_an_earlier_one_are_the_complete_list_and_others_add(session):
    session.send(**CLICKS)
    added, imos = session.send(foreground=[[22, 17, 9]])
    assert seeds_of(imos) == [(2, 6, "points"), (2, 9, "points")]
    complete, imos = session.send(
        foreground=[*CLICKS["foreground"], [22, 17, 9], [20, 17, 3]], background=CLICKS["background"]
    )
    assert seeds_of(imos) == [(2, 3, "points"), (2, 6, "points"), (2, 9, "points")]
    np.testing.assert_array_equal(complete[..., 5:], added[..., 5:])
    fewer, imos = session.send(foreground=[*CLICKS["foreground"], [20, 17, 3]], background=CLICKS["background"])
    assert seeds_of(imos) == [(2, 3, "points"), (2, 6, "points")]
    np.testing.assert_array_equal(fewer[..., :7], complete[..., :7])


def test_a_click_on_a_carried_mask_corrects_that_mask(session):
    first, _ = session.send(**CLICKS)
    corrected, imos = session.send(background=[[3, 3, 9]])
    assert first[3, 3, 9]
    assert not corrected[3, 3, 9]
    assert (corrected[..., 9] > 0).sum() > (first[..., 9] > 0).sum() / 2  # not begun anew from the click
    assert imos["recomputed"] == {"object": [7, 11]}
    assert changed_slices(first[..., :7], corrected[..., :7]) == []


def test_background_strokes_over_all_of_a_carried_mask_say_that_the_object_is_not_here(session, label_file):
    strokes = [{"name": "background_scribbles", "id": 3}, {"name": "liver", "id": 1}]
    session.always |= {"selected_label_name": "liver", "label_info": strokes}
    first, _ = session.send(label=label_file(on_slices(BALL, [5])))
    everywhere = np.zeros(SHAPE, np.uint8)
    everywhere[..., 9] = 3
    assert first[..., 9].any()
    corrected, imos = session.send(label=label_file(everywhere))
    assert not corrected[..., 9].any()
    assert (2, 9, "scribble") in seeds_of(imos)
    assert changed_slices(first[..., :6], corrected[..., :6]) == []
    on_nothing = np.zeros(SHAPE, np.uint8)
    on_nothing[2:30, 4, 9] = 3
    again, imos = session.send(label=label_file(on_nothing))  # there is nothing to be corrected
    assert not again[..., 9].any()


@pytest.mark.parametrize("accepted", [[8, 10], "8, 10"])
def test_accepted_slices_become_seeds_and_come_back_as_they_were(three_seeds, label_file, accepted):
    session, first, _ = three_seeds
    same, imos = session.send(accepted_slices=accepted)
    np.testing.assert_array_equal(same, first)
    assert (2, 8, "accepted") in seeds_of(imos)
    assert (2, 10, "mask") in seeds_of(imos)  # it was a person's already
    assert imos["confidence"]["label_1"]["8"] == 1.0
    corrected, imos = session.send(label=label_file(square(6)))
    assert set(changed_slices(first, corrected)) <= {6, 7}
    assert imos["recomputed"] == {"label_1": [6, 7]}


def test_protected_labels_come_back_as_they_were_answered(session, label_file):
    info = [{"name": "liver", "id": 1}, {"name": "spleen", "id": 2}]
    first, _ = session.send(label=label_file(on_slices(BALL, [5])), label_info=info)
    assert first[30, 30, 8] == 1
    corrected, _ = session.send(
        label=label_file(square(8, low=25, high=35, value=2)), label_info=info, protected="liver"
    )
    np.testing.assert_array_equal(corrected == 1, first == 1)
    taken, _ = session.send(foreground={"spleen": [[30, 30, 8]]})
    assert taken[30, 30, 8] == 2  # unprotected, it gives way


def test_protected_labels_of_a_label_map_come_back_as_they_were_sent(session, label_file):
    info = [{"name": "liver", "id": 1}, {"name": "spleen", "id": 2}]
    scene = on_slices(BALL, [5], 2) + square(9, low=2, high=30)
    labels, imos = session.send(label=label_file(scene), label_info=info, protected=["liver"])
    np.testing.assert_array_equal(labels == 1, scene == 1)
    assert {seed["label"] for seed in imos["seeds"]} == {"spleen"}
    alone, _ = session.send(
        label=label_file(scene), label_info=info, protected=["liver"], selected_label_name="spleen", reset_state=True
    )
    assert set(np.unique(alone)) == {0, 2}
    assert not alone[scene == 1].any()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"accepted_slices": "4, x"}, ["accepted_slices", "[12, 40]"]),
        ({"accepted_slices": [4]}, ["nothing was answered yet", "client_id"]),
        ({"protected": ["spleen"], "foreground": [list(CENTRE)]}, ["protected", "'spleen'", "label file"]),
        ({"protected": {"spleen": 1}, "foreground": [list(CENTRE)]}, ["protected", '["liver"]']),
        ({"history": "undone", "foreground": [list(CENTRE)]}, ["history", "add, undo, redo"]),
    ],
)
def test_corrections_that_make_no_sense_are_refused(session, params, words):
    refused(session.post(**params), words=words)


def test_what_is_both_protected_and_marked_or_lies_outside_is_refused(session):
    session.send(foreground=[list(CENTRE)], selected_label_name="liver")
    refused(session.post(foreground={"liver": [[20, 17, 9]]}, protected="liver"), words=["both", "'liver'"])
    refused(session.post(accepted_slices=[12]), words=["accepted_slices", "12", "0 to 11"])
