"""What clients ask for over HTTP, and what they get.

The network of these tests fills every slice that it is carried to, which tells the carried from the given.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import nibabel
import numpy as np
import pytest

from imos_engine.metrics.overlap import dice
from tests.app.images import AFFINES, CENTRE, FOUND, SHAPE, ball, save_nifti
from tests.app.server import array_of

BALL = ball()
SEED_SLICE = CENTRE[2]
CLICKS = {"foreground": [list(CENTRE), [25, 19, SEED_SLICE]], "background": [[2, 2, SEED_SLICE], [37, 45, SEED_SLICE]]}


def on_slices(mask, slices, value=1):
    """A label map (I, J, K) that holds `mask` on some slices only."""
    labels = np.zeros(mask.shape, np.uint8)
    labels[..., slices] = mask[..., slices] * value
    return labels


@pytest.fixture
def label_file(tmp_path):
    def write(labels, affine=AFFINES["plain"]):
        save_nifti(tmp_path / "label.nii.gz", labels, affine)
        return tmp_path / "label.nii.gz"

    return write


# --- What is offered ------------------------------------------------------------------------------------------------


def test_info_offers_what_slicer_and_ohif_look_for(server):
    info = server.client.info()
    assert info["models"]["imos"]["type"] == "deepgrow"
    assert info["models"]["imos_scribbles"]["type"] == "scribbles"
    for model in info["models"].values():
        assert model["dimension"] == 3
        assert model["labels"] == {"liver": 1, "spleen": 2}  # OHIF can only paint labels that the model lists
        assert model["config"]["direction"][0] == "both"
        assert {"seed_mode", "slice_axis", "slice_range", "window", "adapter", "propagate", "objects"} <= model[
            "config"
        ].keys()
        assert model["config"]["device"][0] == "cpu"
    assert info["labels"] == ["liver", "spleen"]


def test_the_options_of_info_can_be_sent_back_as_they_are(server):
    config = server.client.info()["models"]["imos"]["config"]
    as_slicer = {key: str(value[0]) if isinstance(value, list) else value for key, value in config.items()}
    for params in (config, as_slicer):
        labels, _ = server.infer("plain", {**params, **CLICKS})
        assert labels.any()


# --- Clicks ---------------------------------------------------------------------------------------------------------


def test_clicks_on_one_slice_give_its_object_and_the_volume(server):
    labels, answer = server.infer("plain", {**CLICKS, "label": "spleen"})
    assert set(np.unique(labels)) == {0, 2}  # one value: the segment that the client is editing
    assert answer["label_names"] == {"spleen": 2}
    assert dice(labels[..., SEED_SLICE] > 0, BALL[..., SEED_SLICE]) > FOUND
    assert all(labels[..., index].any() for index in range(SHAPE[2]))


def test_ohif_gets_an_uncompressed_nrrd_of_bytes_on_the_grid(server):
    params = {**CLICKS, "result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}
    reply = server.post("oblique", {**params, "restore_label_idx": False}, query={"output": "image"})
    header, _, voxels = reply.content.partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in header.decode().splitlines() if ": " in line)
    assert fields["encoding"] == "raw"
    assert fields["type"] in ("unsigned char", "uint8")
    assert fields["sizes"] == " ".join(str(side) for side in SHAPE)
    assert len(voxels) == np.prod(SHAPE)


def test_output_json_sends_no_image_and_output_all_both(server):
    alone = server.post("plain", CLICKS, query={"output": "json"})
    assert alone.json()["imos"]["extent"] == {"object": [0, 11]}
    both = server.post("plain", CLICKS, query={"output": "all"})
    assert both.headers["content-type"].startswith("multipart/form-data")


def test_background_clicks_on_a_carried_slice_correct_it(server):
    leak = [[3, 3, 9], [36, 44, 9]]
    labels, answer = server.infer("plain", {**CLICKS, "background": CLICKS["background"] + leak})
    assert labels[3, 3, 9] == labels[36, 44, 9] == 0
    assert {(seed["slice"], seed["mode"]) for seed in answer["imos"]["seeds"]} == {
        (SEED_SLICE, "points"),
        (9, "points"),
    }


def test_a_box_is_a_prompt_and_nothing_is_found_outside_it(server):
    box = [12, 32, 9, 25, 4, 8]
    labels, _ = server.infer("plain", {"roi": box, "label": "liver"})
    inside = np.zeros(SHAPE, bool)
    inside[12:33, 9:26, 4:9] = True
    assert labels.any()
    assert not labels[~inside].any()
    flipped, _ = server.infer("plain", {"roi": [box[1], box[0], *box[2:]], "label": "liver"})
    np.testing.assert_array_equal(flipped, labels)


def test_several_objects_can_be_clicked_in_one_request(server):
    params = {
        "foreground": {"liver": [list(CENTRE)], "spleen": [[5, 40, SEED_SLICE]]},
        "background": {"liver": [[2, 2, SEED_SLICE]]},
        "objects": {"liver": 6, "spleen": 9},
        "propagate": False,
    }
    labels, answer = server.infer("plain", params)
    assert answer["label_names"] == {"liver": 6, "spleen": 9}
    assert labels[CENTRE] == 6
    assert labels[5, 40, SEED_SLICE] == 9


# --- Label files ----------------------------------------------------------------------------------------------------


def test_slices_of_a_label_file_come_back_as_they_were_given(server, label_file):
    seed = on_slices(BALL, [4, 7])
    labels, answer = server.infer("plain", {}, label=label_file(seed))
    np.testing.assert_array_equal(labels[..., [4, 7]], seed[..., [4, 7]])
    assert all(labels[..., index].all() for index in (0, 1, 2, 3, 5, 6, 8, 9, 10, 11))
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


# --- Slicer's scribbles ---------------------------------------------------------------------------------------------

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
    params = {"label_info": SCENE, "selected_label_name": "spleen", "roi": [], "slice_axis": "2"}

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
    assert corrected[..., 8].all()

    _, seeds = update(on_slices(BALL, [3], 2))  # the person cleared the segment and began anew
    assert seeds == {3: int(BALL[..., 3].sum())}


# --- Options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "filled"),
    [
        ({}, range(12)),
        ({"direction": "forward"}, range(6, 12)),
        ({"direction": "backward"}, range(7)),
        ({"slice_range": [4, 9]}, range(4, 10)),
        ({"slice_range": "4, 9", "direction": "forward"}, range(6, 10)),
        ({"propagate": False}, [6]),
    ],
)
def test_masks_are_carried_where_the_options_say(server, options, filled):
    labels, _ = server.infer("plain", {**CLICKS, **options})
    assert [index for index in range(SHAPE[2]) if labels[..., index].any()] == list(filled)


@pytest.mark.parametrize("window", ["auto", "lung", [-200, 1500], "-200, 1500"])
def test_a_ct_is_segmented_in_any_window_that_shows_the_object(server, window):
    labels, _ = server.infer("ct", {**CLICKS, "window": window, "propagate": False})
    assert dice(labels[..., SEED_SLICE] > 0, BALL[..., SEED_SLICE]) > FOUND


@pytest.mark.parametrize(("image", "word"), [("nan", "not finite"), ("constant", "same value")])
def test_odd_images_are_carried_with_a_warning(server, label_file, image, word):
    labels, answer = server.infer(image, {}, label=label_file(on_slices(BALL, [6])))
    assert labels[..., 5].all()
    assert any(word in warning for warning in answer["imos"]["warnings"])


def test_the_reply_says_what_was_done(server):
    _, answer = server.infer("plain", {**CLICKS, "device": "cuda:7"})
    imos = answer["imos"]
    assert imos["seeds"] == [
        {"slice": 6, "axis": 2, "label": "object", "mode": "points", "pixels": imos["seeds"][0]["pixels"]}
    ]
    assert imos["confidence"]["object"]["6"] == 1.0
    assert set(imos["confidence"]["object"]) == {str(index) for index in range(12)}
    assert imos["extent"] == {"object": [0, 11]}
    assert imos["next_slice"]["slice"] != 6
    assert len(imos["network"]["sha256"]) == 64
    assert imos["adapter"]["name"] == "none"
    assert imos["device"] == "cpu"
    assert {"load", "encode", "read", "decode", "write", "total", "frames", "cached_frames"} <= imos["timings"].keys()
    assert any("cuda:7" in warning for warning in imos["warnings"])


def test_a_correction_reuses_the_encoded_slices_of_the_same_image_only(server, label_file):
    server.infer("mirrored", CLICKS)
    _, again = server.infer("mirrored", {**CLICKS, "foreground": CLICKS["foreground"][:1]})
    assert again["imos"]["timings"]["cached_frames"] == again["imos"]["timings"]["frames"]
    path = server.studies / "mirrored.nii.gz"
    replaced = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(replaced.dataobj) + 1, replaced.affine), path)
    _, other = server.infer("mirrored", CLICKS)
    assert other["imos"]["timings"]["cached_frames"] < again["imos"]["timings"]["cached_frames"]


# --- Images that come with the request ------------------------------------------------------------------------------


def test_an_uploaded_image_and_one_of_a_session_are_segmented_like_a_stored_one(server):
    expected, _ = server.infer("plain", CLICKS)
    image = str(server.studies / "plain.nii.gz")
    uploaded, _ = server.client.infer("imos", "", dict(CLICKS), file=image)
    np.testing.assert_array_equal(array_of(uploaded), expected)
    session = server.client.create_session(image)["session_id"]
    held, _ = server.client.infer("imos", "", dict(CLICKS), session_id=session)
    np.testing.assert_array_equal(array_of(held), expected)
    server.client.remove_session(session)


# --- What is stored -------------------------------------------------------------------------------------------------


def test_inference_writes_nothing_unless_asked(server):
    before = server.stored()
    server.infer("plain", CLICKS)
    server.post("plain", {**CLICKS, "save_label": "false"}, query={"output": "image"})
    assert server.stored() == before
    assert server.leftovers() == []


def test_a_label_is_saved_and_loaded_again_exactly(server):
    labels, _ = server.infer("rotated", {**CLICKS, "result_extension": ".nii.gz"})
    file, _ = server.client.infer("imos", "rotated", {**CLICKS, "result_extension": ".nii.gz"})
    server.client.save_label("rotated", file, params={"label_info": [{"name": "object", "idx": 1}]})
    stored = nibabel.load(server.client.download_label("rotated", "final"))
    np.testing.assert_array_equal(np.asarray(stored.dataobj), labels)
    np.testing.assert_allclose(stored.affine, AFFINES["rotated"], atol=1e-5)
    again, _ = server.infer("rotated", {"propagate": False}, label=server.client.download_label("rotated", "final"))
    np.testing.assert_array_equal(again, labels)


def test_a_request_may_save_its_own_result(server):
    reply = server.post("flipped", {**CLICKS, "save_label": True, "label_tag": "draft"}, query={"output": "json"})
    assert reply.status_code == 200
    assert json.loads(httpx.get(f"{server.url}/datastore/?output=all").text)["objects"]["flipped"]["labels"].keys() == {
        "draft"
    }
    assert server.leftovers() == []


def test_requests_at_the_same_time_are_answered_like_one_after_another(server):
    requests = [("plain", CLICKS), ("oblique", CLICKS), ("plain", {**CLICKS, "direction": "forward"})]
    alone = [server.infer(*request)[0] for request in requests]
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda request: server.post(*request, query={"output": "image"}), requests))
    for reply, labels in zip(replies, alone, strict=True):
        path = server.downloads / "together.nii.gz"
        path.write_bytes(reply.content)
        np.testing.assert_array_equal(array_of(path), labels)


# --- Others at the same time ----------------------------------------------------------------------------------------


def test_the_app_can_be_reloaded_while_the_server_runs(server, label_file):
    httpx.post(f"{server.url}/reload").raise_for_status()
    seed = on_slices(BALL, [5])
    for _ in range(2):  # the first request loads the app anew, the second meets it
        labels, _ = server.infer("plain", {"propagate": False}, label=label_file(seed))
        np.testing.assert_array_equal(labels, seed)
        assert server.post("plain", {}).status_code == 422
    assert server.leftovers() == []


def test_the_server_answers_others_during_a_long_inference_which_ends_when_its_client_leaves(server):
    waits, reply = [], None
    with ThreadPoolExecutor() as pool:
        long = pool.submit(server.post, "long", {"foreground": [[22, 17, 6]], "slice_axis": 2}, timeout=4)
        while not long.done():
            started = time.monotonic()
            reply = httpx.get(f"{server.url}/info/", timeout=10)
            waits.append(time.monotonic() - started)
            time.sleep(0.1)
    assert reply is not None
    assert reply.status_code == 200
    # The median, for cores that are busy with something else: a server that blocks answers nothing for 4 seconds.
    assert np.median(waits) < 1
    with pytest.raises(httpx.ReadTimeout):
        long.result()
    server.infer("plain", CLICKS)  # waits for its turn, which comes as soon as the long one has stopped
    log = server.log.read_text()
    assert "The client left" in log
    assert "through plain.nii.gz" in log
    assert "through long.nii.gz" not in log
    assert server.leftovers() == []
