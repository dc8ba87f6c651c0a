"""Slicer's requests to the letter: SmartEdit, Scribbles, painted slices, with other segments in the scene.

The network of these tests fills its window on every slice that it is carried to: that tells the carried from the given.
"""

import json

import numpy as np
import pytest

from imos_engine.metrics.overlap import dice
from tests.app.images import AFFINES, BALL, CENTRE, CLICKS, FOUND, RADII, SEED_SLICE, SHAPE, on_slices
from tests.app.new_images import new_image
from tests.app.server import array_of
from tests.app.slicer import BOUNDARY, DEFAULT_CLIENT_ID, Slicer, encoded

BACKGROUND = CLICKS["background"]


@pytest.fixture
def slicer(server):
    """A person of whom the server knows nothing yet."""
    return Slicer(server)


def line(axis, length, *, at=CENTRE):
    """A stroke through the ball along one axis."""
    stroke = np.zeros(SHAPE, bool)
    place = [slice(index, index + 1) for index in at]
    place[axis] = slice(at[axis] - length, at[axis] + length + 1)
    stroke[tuple(place)] = True
    return stroke


def frame_around(axis, index):
    """A stroke around the ball, on one slice across an axis."""
    stroke = np.zeros(SHAPE, bool)
    row, column = (other for other in range(3) if other != axis)
    for side, place in ((row, 1), (row, -2), (column, 1), (column, -2)):
        edge = [slice(1, -1)] * 3
        edge[axis], edge[side] = index, place
        stroke[tuple(edge)] = True
    return stroke & ~BALL


def scene_of(**drawn):
    """Segments of a scene in which a person has opened Scribbles."""
    nothing = np.zeros(SHAPE, bool)
    strokes = {"background_scribbles": nothing, "foreground_scribbles": nothing}
    return {"liver": nothing, "spleen": nothing, **strokes, **drawn}


def strokes_on(axis, *indices):
    """Crosses on the ball and frames around it, on slices across one axis."""
    on_ball, around = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    for index in indices:
        at = list(CENTRE)
        at[axis] = index
        for along in (other for other in range(3) if other != axis):
            on_ball |= line(along, int(RADII[along]) - 3, at=at)
        around |= frame_around(axis, index)
    return {"foreground_scribbles": on_ball, "background_scribbles": around}


def seeded(answer):
    """Slices of the seeds, and the axis across which they lie."""
    seeds = answer.params["imos"]["seeds"]
    (axis,) = {seed["axis"] for seed in seeds}
    return axis, {seed["slice"] for seed in seeds}


def test_the_bytes_of_a_request_are_those_that_slicer_sends():
    body = encoded({"params": '{"label": "liver"}'}, {})
    assert body == (
        b"------------lImIt_of_THE_fIle_eW_$\r\n"
        b'Content-Disposition: form-data; name="params"\r\n'
        b"\r\n"
        b'{"label": "liver"}\r\n'
        b"------------lImIt_of_THE_fIle_eW_$--\r\n"
        b"\r\n"
    )
    assert f"--{BOUNDARY}".encode() in body


def test_smart_edit_uses_the_points_of_every_slice(slicer):
    foreground = [[22, 17, 5], [25, 19, 5], [20, 15, 7], [24, 18, 7]]
    background = [[*point[:2], k] for point in BACKGROUND for k in (5, 7)]
    answer = slicer.smart_edit("plain", "spleen", foreground, background)
    assert answer.status == 200
    assert seeded(answer) == (2, {5, 7})
    assert answer.params["label_names"] == {"spleen": 2}
    for index in (5, 7):
        assert dice(answer.segment()[..., index], BALL[..., index]) > FOUND
    assert all(answer.segment()[..., index].any() for index in range(SHAPE[2]))


def test_smart_edit_stays_inside_its_region(slicer):
    """Slicer turns the box from the patient's axes to voxels: on a flipped axis a pair comes the wrong way round."""
    inside = np.zeros(SHAPE, bool)
    inside[12:33, 9:26, 4:9] = True
    for roi in ([12, 32, 9, 25, 4, 8], [32, 12, 25, 9, 4, 8]):
        answer = slicer.smart_edit("flipped", "liver", [list(CENTRE)], BACKGROUND, roi=roi, reset_state=True)
        assert answer.segment()[CENTRE]
        assert not answer.segment()[~inside].any()


def test_smart_edit_without_points_says_what_to_do(slicer):
    answer = slicer.smart_edit("plain", "liver", [])
    assert answer.status == 422
    assert "mark the object" in answer.params["detail"]


def test_a_person_who_keeps_slicers_own_name_is_answered(server):
    answer = Slicer(server, client_id=DEFAULT_CLIENT_ID).smart_edit("plain", "liver", [list(CENTRE)], BACKGROUND)
    assert answer.segment()[CENTRE]


@pytest.mark.parametrize("selected", ["liver", "spleen"])
def test_scribbles_belong_to_the_selected_segment_whatever_its_place(slicer, selected):
    answer = slicer.scribbles("plain", scene_of(**strokes_on(2, SEED_SLICE)), selected)
    assert list(answer.params["label_names"]) == [selected]
    assert dice(answer.segment()[..., SEED_SLICE], BALL[..., SEED_SLICE]) > FOUND


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["sagittal", "coronal", "axial"])
def test_strokes_of_any_view_are_carried_across_it(slicer, axis):
    slices = (CENTRE[axis] - 2, CENTRE[axis] + 1)
    answer = slicer.scribbles("plain", scene_of(**strokes_on(axis, *slices)), "liver")
    assert seeded(answer) == (axis, set(slices))
    assert {seed["mode"] for seed in answer.params["imos"]["seeds"]} == {"scribble"}
    for index in slices:
        assert dice(answer.segment().take(index, axis), BALL.take(index, axis)) > FOUND
    ends = answer.segment().take([0, SHAPE[axis] - 1], axis)
    assert ends.any()  # to both ends


def test_painted_slices_come_back_as_they_were_painted(slicer):
    painted = on_slices(BALL, [4, 7]) > 0
    answer = slicer.scribbles("plain", scene_of(spleen=painted), "spleen")
    assert seeded(answer) == (2, {4, 7})
    np.testing.assert_array_equal(answer.segment()[..., [4, 7]], painted[..., [4, 7]])
    assert answer.segment()[..., 5].sum() > painted[..., 4].sum()


def test_other_segments_of_the_scene_change_nothing(slicer):
    alone = scene_of(**strokes_on(2, SEED_SLICE))
    elsewhere = np.zeros(SHAPE, bool)
    elsewhere[2:8, 36:44, 2:10] = True
    first = slicer.scribbles("plain", alone, "spleen")
    with_liver = {"liver": elsewhere, "vein": np.roll(elsewhere, 25, axis=0)}
    second = Slicer(slicer.server).scribbles("plain", {**alone, **with_liver}, "spleen")
    np.testing.assert_array_equal(second.segment(), first.segment())
    assert list(second.params["label_names"]) == ["spleen"]


def test_a_structure_inside_another_is_found_there(slicer):
    """A tumour in a liver that is already drawn: the drawn liver does not forbid it."""
    liver = np.zeros(SHAPE, bool)
    liver[8:38, 4:34] = True
    answer = slicer.scribbles("plain", scene_of(liver=liver, tumor=liver & False, **strokes_on(2, SEED_SLICE)), "tumor")
    assert dice(answer.segment()[..., SEED_SLICE], BALL[..., SEED_SLICE]) > FOUND


def test_scribbles_stay_inside_their_region(slicer):
    answer = slicer.scribbles("plain", scene_of(**strokes_on(2, SEED_SLICE)), "liver", roi=[10, 34, 8, 26, 3, 9])
    outside = np.ones(SHAPE, bool)
    outside[10:35, 8:27, 3:10] = False
    assert answer.segment().any()
    assert not answer.segment()[outside].any()


def test_scribbles_without_a_stroke_say_what_to_do(slicer):
    answer = slicer.scribbles("plain", scene_of(), "liver")
    assert answer.status == 422
    assert "liver" in answer.params["detail"] or "mark" in answer.params["detail"]


@pytest.mark.parametrize("image", sorted(AFFINES))
def test_points_and_strokes_mean_the_same_voxel_on_every_grid(slicer, image):
    clicked = slicer.smart_edit(image, "liver", [list(CENTRE)], BACKGROUND, propagate=False)
    drawn = Slicer(slicer.server).scribbles(image, scene_of(liver=on_slices(BALL, [5]) > 0), "liver")
    assert clicked.segment()[CENTRE]
    np.testing.assert_array_equal(drawn.segment()[..., 5], BALL[..., 5])


def test_an_image_of_a_session_is_segmented(slicer):
    """Slicer uploads what the datastore does not hold, and names the session with every request."""
    slicer.open_session("plain")
    answer = slicer.smart_edit("an image of mine", "liver", [list(CENTRE)], BACKGROUND)
    assert answer.status == 200
    assert answer.segment()[CENTRE]
    slicer.session = "0" * 8
    assert slicer.smart_edit("an image of mine", "liver", [list(CENTRE)], BACKGROUND).status == 404


def test_an_option_that_a_person_changes_is_obeyed(slicer):
    slicer.chosen = {"propagate": False, "window": "lung", "slice_axis": "0"}
    answer = slicer.smart_edit("plain", "liver", [list(CENTRE)], BACKGROUND)
    assert seeded(answer)[0] == 0


def test_the_scene_that_is_submitted_is_the_label(slicer):
    scene = scene_of(spleen=on_slices(BALL, [6]) > 0)
    image = new_image(slicer.server)
    answer = slicer.submit(image, scene)
    assert answer.status == 200
    stored = slicer.server.studies / "labels" / "final" / f"{image}.nii.gz"
    np.testing.assert_array_equal(array_of(stored) > 0, scene["spleen"])
    listed = json.loads((slicer.server.studies / "datastore_v2.json").read_text())
    assert listed["objects"][image]["labels"]["final"]["info"]["label_info"]


def test_a_reply_that_is_saved_joins_the_scene_that_was_submitted(slicer):
    image = new_image(slicer.server)
    slicer.submit(image, scene_of(spleen=on_slices(BALL, [6]) > 0))
    slicer.chosen = {"save_as": "its name", "propagate": False}
    answer = slicer.smart_edit(image, "liver", [[30, 40, 8]], [[2, 2, 8]])
    assert list(answer.params["imos"]["saved"]["names"]) == ["liver", "spleen"]
    stored = array_of(slicer.server.studies / "labels" / "final" / f"{image}.nii.gz")
    assert (stored[..., 6] == answer.params["imos"]["saved"]["names"]["spleen"]).sum() == BALL[..., 6].sum()
