"""What is offered; what clicks, boxes and options give.

The network of these tests fills every slice that it is carried to, which tells the carried from the given.
"""

import nibabel
import numpy as np
import pytest

from imos_engine.metrics.overlap import dice
from tests.app.images import BALL, CENTRE, CLICKS, FOUND, SEED_SLICE, SHAPE, on_slices


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


def test_an_object_that_was_marked_outside_the_slices_asked_for_is_named_in_a_warning(server, label_file):
    seeds = on_slices(BALL, [6]).astype("uint8")
    seeds[..., 2][BALL[..., 2]] = 2
    params = {"objects": {"liver": 1, "spleen": 2}, "slice_range": [4, 9]}
    labels, answer = server.infer("plain", params, label=label_file(seeds))
    assert (labels[..., 4:10] == 1).any(axis=(0, 1)).all()
    assert not (labels[..., 4:10] == 2).any()
    (warning,) = [warning for warning in answer["imos"]["warnings"] if "'spleen'" in warning]
    assert "slices 2" in warning
    assert "4 to 9" in warning


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
    assert imos["next_slice"]["slice"] == 6  # its mask was guessed from points: look at it first
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
