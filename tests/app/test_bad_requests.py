"""Every request that cannot be served gets a status 4xx and a sentence, and leaves nothing behind."""

import json

import httpx
import numpy as np
import pytest

from tests.app.images import AFFINES, CENTRE, SHAPE, ball, save_nifti

CLICK = {"foreground": [list(CENTRE)]}


def refused(reply, *, words, status=422):
    """The reply is a refusal whose sentence has these words."""
    assert reply.status_code == status, reply.text
    sentence = reply.json()["detail"]
    assert isinstance(sentence, str)
    for word in words:
        assert word in sentence, sentence
    return sentence


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, ["no seed", "mark the object"]),
        ({"foreground": [], "background": []}, ["no seed", "mark the object"]),
        ({"background": [[1, 2, 3]]}, ["background points", "mark the object"]),
        ({"foreground": [[22, 17, 12]]}, ["[22, 17, 12]", "(39, 47, 11)"]),
        ({"foreground": [[-1, 17, 6]]}, ["[-1, 17, 6]", "outside"]),
        ({"foreground": [[22, 17]]}, ["[22, 17]", "[i, j, k]"]),
        ({"foreground": "here"}, ["'here'", "[i, j, k]"]),
        ({"roi": [100, 120, 0, 10, 0, 5]}, ["region", "outside"]),
        ({"roi": [1, 2, 3]}, ["roi", "imin"]),
        ({**CLICK, "slice_axis": 3}, ["slice_axis", "0, 1, 2"]),
        ({**CLICK, "direction": "up"}, ["direction", "both, forward, backward"]),
        ({**CLICK, "seed_mode": "scribbel"}, ["seed_mode", "did you mean scribble?"]),
        ({**CLICK, "window": "abdomne"}, ["window", "did you mean abdomen?"]),
        ({**CLICK, "window": [40, 0]}, ["window", "[level, width]"]),
        ({**CLICK, "adapter": "liver-v7"}, ["adapter", "liver-v7", "none"]),
        ({**CLICK, "slice_range": [9, 3]}, ["slice_range", "[first, last]"]),
        ({**CLICK, "slice_range": [0, 12]}, ["slice_range", "0 to 11"]),
        ({**CLICK, "slice_range": [8, 11]}, ["[6]", "8 to 11"]),
        ({**CLICK, "propagate": "maybe"}, ["propagate", "true or false"]),
        ({**CLICK, "objects": {"liver": 0}}, ["objects", "1 to 65535"]),
        ({**CLICK, "objects": {"liver": 1, "spleen": 1}}, ["objects", "own id"]),
        ({**CLICK, "slice_axes": 1}, ["slice_axes", "did you mean slice_axis?"]),
        ({**CLICK, "device": "abacus"}, ["device", "abacus", "cpu"]),
        ({**CLICK, "result_extension": ".jpg"}, ["result_extension", ".nrrd"]),
        ({**CLICK, "result_dtype": "complex64"}, ["result_dtype", "uint8"]),
        ({**CLICK, "objects": {"object": 300}, "result_dtype": "uint8"}, ["300", "uint16"]),
        ({**CLICK, "label_info": [{"name": "liver"}]}, ["label_info", "id"]),
        ({**CLICK, "label_tag": "../../outside", "save_label": True}, ["label_tag"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_a_request_that_makes_no_sense_is_refused_with_a_remedy(server, params, words):
    refused(server.post("plain", params), words=words)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '"imos"'])
def test_params_that_are_no_json_object_are_refused(server, text):
    refused(server.post("plain", text), words=["params", "JSON object"], status=400)


def test_an_unknown_model_is_refused_with_the_names_of_those_offered(server):
    refused(server.post("plain", CLICK, model="imso"), words=["imso", "did you mean imos?"], status=404)


def test_an_unknown_image_is_refused(server):
    refused(server.post("absent", CLICK), words=["'absent'", "datastore"], status=404)


def test_a_request_without_an_image_is_refused(server):
    refused(server.post("", CLICK), words=["no image", "session_id"], status=400)


def test_a_session_that_has_expired_is_refused(server):
    refused(server.post("", CLICK, query={"session_id": "0a1b"}), words=["session"], status=404)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("flat", ["(40, 48)", "3-D"]),
        ("single_slice", ["two-dimensional", "40 x 48 x 1"]),
        ("photo", ["photo.png", ".nii"]),
        ("broken", ["broken.nii.gz", "cannot be read"]),
        ("series", ["(40, 48, 12, 2)", "3-D"]),
        ("empty", ["empty.nii.gz"]),
    ],
)
def test_an_image_that_is_no_volume_is_refused(server, image, words):
    refused(server.post(image, {"foreground": [[3, 3, 0]]}), words=words)


def test_a_path_is_not_read_even_if_the_file_exists(server, tmp_path):
    save_nifti(tmp_path / "secret.nii.gz", np.ones(SHAPE, np.int16))
    path = str(tmp_path / "secret.nii.gz")
    refused(server.post(path, CLICK), words=["paths are not read"], status=404)
    refused(server.post(path, CLICK, query={"session_id": "0a1b"}), words=["paths are not read"], status=404)
    refused(server.post("plain", {**CLICK, "image": path}), words=["'image'", "unknown option"])
    refused(server.post("plain", {**CLICK, "session": {"image": path}}), words=["'session'", "unknown option"])
    params = {"images": [path], "multi_gpu": False, **CLICK}
    batch = httpx.post(f"{server.url}/batch/infer/imos", params={"run_sync": True}, json=params, timeout=60)
    refused(batch, words=["paths are not read"], status=404)


def test_a_label_in_the_json_is_a_name_and_never_a_path(server, tmp_path):
    save_nifti(tmp_path / "elsewhere.nii.gz", ball().astype(np.uint8))
    path = str(tmp_path / "elsewhere.nii.gz")
    refused(server.post("plain", {"label": path}), words=["no seed"])
    batch = httpx.post(
        f"{server.url}/batch/infer/imos",
        params={"run_sync": True},
        json={"images": ["plain"], "label": path, "multi_gpu": False},
        timeout=60,
    )
    refused(batch, words=["no seed"])


def label_files():
    seed = np.zeros(SHAPE, np.uint8)
    seed[..., 6] = ball()[..., 6]
    half_a_millimetre = np.zeros((4, 4))
    half_a_millimetre[0, 3] = 0.5
    return {
        "smaller": (seed[:-1], AFFINES["plain"], ["39 x 48 x 12", "40 x 48 x 12"]),
        "elsewhere": (seed, AFFINES["flipped"], ["voxels away", "affine"]),
        "shifted": (seed, AFFINES["plain"] + half_a_millimetre, ["0.625 voxels"]),
        "fractions": (seed * np.float32(0.5), AFFINES["plain"], ["fractions", "whole numbers"]),
        "blank": (seed * 0, AFFINES["plain"], ["no seed", "empty"]),
    }


@pytest.mark.parametrize("kind", label_files())
def test_a_label_file_that_does_not_fit_is_refused(server, tmp_path, kind):
    array, affine, words = label_files()[kind]
    save_nifti(tmp_path / "label.nii.gz", array, affine)
    with (tmp_path / "label.nii.gz").open("rb") as file:
        refused(server.post("plain", {}, files={"label": ("label.nii.gz", file)}), words=words)


def test_a_label_file_that_is_no_image_is_refused(server):
    files = {"label": ("label.nii.gz", b"scribble, scribble")}
    refused(server.post("plain", {}, files=files), words=["label file", "cannot be read"])
    files = {"label": ("label.bin", bytes(40 * 48 * 12))}
    refused(server.post("plain", {}, files=files), words=[".bin", "NIfTI"], status=415)


def test_refusals_leave_no_file_behind(server, tmp_path):
    before = server.stored()
    save_nifti(tmp_path / "label.nii.gz", np.zeros(SHAPE, np.uint8))
    with (tmp_path / "label.nii.gz").open("rb") as file:
        refused(server.post("plain", {"save_label": True}, files={"label": ("label.nii.gz", file)}), words=["no seed"])
    with (tmp_path / "label.nii.gz").open("rb") as file:
        refused(server.post("", {}, files={"file": ("image.nii.gz", file)}), words=["no seed"])
    assert server.stored() == before
    assert server.leftovers() == []
