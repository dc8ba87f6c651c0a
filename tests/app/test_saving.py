"""A reply that is saved joins the image's label: what was saved before under another name stays."""

import json

import nibabel
import numpy as np
import pytest

from tests.app.images import BALL, CENTRE, CLICKS, SEED_SLICE, SHAPE, on_slices
from tests.app.new_images import new_image
from tests.app.server import array_of

LIVER = {**CLICKS, "label": "liver", "propagate": False, "save_as": "its name"}


def saved_label(server, image):
    """The final label of an image, and the names of its values."""
    listed = json.loads((server.studies / "datastore_v2.json").read_text())["objects"][image]["labels"]["final"]
    file = server.studies / "labels" / "final" / listed["info"]["name"]
    return array_of(file), listed["info"]["label_names"]


def test_a_reply_is_saved_only_when_asked(server):
    before = server.stored()
    for said in ({}, {"save_as": "nothing"}, {"save_as": ""}, {"save_as": ["nothing", "its name", "liver", "spleen"]}):
        _, answer = server.infer("plain", {**CLICKS, **said, "propagate": False})
        assert "saved" not in answer["imos"]
    assert server.stored() == before


def test_a_saved_reply_is_the_final_label_of_its_image(server):
    name = new_image(server, "rotated")
    labels, answer = server.infer(name, LIVER)
    kept, names = saved_label(server, name)
    np.testing.assert_array_equal(kept, labels)
    assert answer["imos"]["saved"] == {"label": name, "tag": "final", "names": {"liver": 1}, "series": None}
    assert names == {"liver": 1}
    label = nibabel.load(server.studies / "labels" / "final" / f"{name}.nii.gz")
    np.testing.assert_allclose(label.affine, affine_of(server, name), atol=1e-5)


def test_structures_that_overlap_keep_what_each_had_unless_one_takes_it(server, label_file):
    """Kidney, then a liver over half of it, then the liver once more, elsewhere."""
    kidney, liver = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    kidney[5:15, 5:15, 4], liver[10:20, 5:15, 4] = 1, 1
    shared = int((kidney & liver).sum())
    image = new_image(server, "flipped")

    def save(mask, name, **options):
        params = {"selected_label_name": name, "propagate": False, "save_as": "its name", **options}
        return server.infer(image, params, label=label_file(mask, affine_of(server, image)))[1]["imos"]

    save(kidney, "kidney")
    warnings = save(liver, "liver")["warnings"]
    labels, names = saved_label(server, image)
    np.testing.assert_array_equal(labels == names["kidney"], kidney)
    np.testing.assert_array_equal(labels == names["liver"], liver & ~kidney & 1)
    assert any(f"{shared} voxels of 'liver'" in warning and "save_over" in warning for warning in warnings)

    save(liver, "liver", save_over=True)
    labels, names = saved_label(server, image)
    np.testing.assert_array_equal(labels == names["liver"], liver)
    np.testing.assert_array_equal(labels == names["kidney"], kidney & ~liver & 1)

    save(np.roll(liver, 20, axis=1), "liver")
    labels, again = saved_label(server, image)
    np.testing.assert_array_equal(labels == names["liver"], np.roll(liver, 20, axis=1))
    np.testing.assert_array_equal(labels == names["kidney"], kidney & ~liver & 1)
    assert again == names


def affine_of(server, image):
    return nibabel.load(server.studies / f"{image}.nii.gz").affine


def test_ohif_which_sends_no_name_chooses_one(server):
    """And is told so rather than saved over another structure that had no name either."""
    nameless, image = {**CLICKS, "propagate": False}, new_image(server, "mirrored")
    reply = server.post(image, {**nameless, "save_as": "its name"})
    assert reply.status_code == 422
    assert "choose one in save_as" in reply.json()["detail"].lower()
    assert not (server.studies / "labels" / "final" / f"{image}.nii.gz").exists()
    for name in ("spleen", "left kidney"):
        _, answer = server.infer(image, {**nameless, "save_as": name, "save_over": "true"})
    assert list(answer["imos"]["saved"]["names"]) == ["spleen", "left kidney"]
    assert answer["imos"]["saved"]["names"]["spleen"] == 2  # the server's value for it


def test_several_structures_of_one_reply_are_saved_each_under_its_name(server):
    params = {
        "foreground": {"liver": [list(CENTRE)], "spleen": [[5, 40, SEED_SLICE]]},
        "objects": {"liver": 6, "spleen": 9},
        "propagate": False,
    }
    image = new_image(server, "oblique")
    labels, answer = server.infer(image, {**params, "save_as": "its name"})
    kept, names = saved_label(server, image)
    assert names == answer["imos"]["saved"]["names"] == {"liver": 1, "spleen": 2}
    np.testing.assert_array_equal(kept, np.select([labels == 6, labels == 9], [1, 2]))
    reply = server.post(image, {**params, "save_as": "liver"})
    assert reply.status_code == 422
    assert "2 structures" in reply.json()["detail"]


def test_a_label_that_slicer_submitted_keeps_its_segments_and_their_names(server, label_file):
    scene = on_slices(BALL, [6], 1)
    scene[2:6, 38:44, 8] = 3
    told = {"label_info": [{"name": "aorta", "idx": 1}, {"name": "vein", "idx": 3}]}
    image = new_image(server, "ct")
    affine = affine_of(server, image)
    server.client.save_label(image, str(label_file(scene, affine)), tag="final", params=told)
    mask = np.zeros(SHAPE, np.uint8)
    mask[30:34, 2:8, 8] = 1
    params = {"selected_label_name": "liver", "propagate": False, "save_as": "its name"}
    server.infer(image, params, label=label_file(mask, affine))
    labels, names = saved_label(server, image)
    assert names == {"aorta": 1, "vein": 3, "liver": 2}  # 1, the server's value for a liver, was taken
    np.testing.assert_array_equal(labels, scene + 2 * mask)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"save_as": 3}, ["save_as", "its name"]),
        ({"save_as": "liver", "save_over": "perhaps"}, ["save_over", "true or false"]),
    ],
)
def test_a_value_that_says_nothing_of_saving_is_refused(server, params, words):
    reply = server.post("plain", {**CLICKS, **params})
    assert reply.status_code == 422
    assert all(word in reply.json()["detail"] for word in words)


def test_an_image_that_the_datastore_does_not_hold_has_no_label(server):
    with (server.studies / "plain.nii.gz").open("rb") as file:
        reply = server.post("", {**CLICKS, "save_as": "liver"}, files={"file": ("image.nii.gz", file)})
    assert reply.status_code == 422
    assert "datastore" in reply.json()["detail"]


def test_a_saved_label_on_another_grid_is_not_overwritten(server, label_file):
    other, image = np.ones((4, 4, 4), np.uint8), new_image(server)
    server.client.save_label(image, str(label_file(other)), tag="final", params={})
    reply = server.post(image, LIVER)
    assert reply.status_code == 422
    assert "another grid" in reply.json()["detail"]
    kept = array_of(server.studies / "labels" / "final" / f"{image}.nii.gz")
    np.testing.assert_array_equal(kept, other)


def test_slicers_empty_stroke_segments_do_not_shift_the_names(server, label_file):
    """Slicer numbers all segments of the scene, and exports those alone that are not strokes."""
    scene = on_slices(BALL, [6], 1)
    scene[2:6, 38:44, 8] = 2
    told = {"label_info": [{"name": "aorta", "idx": 3}, {"name": "vein", "idx": 4}], "client_id": "user-xyz"}
    image = new_image(server, "permuted")
    affine = affine_of(server, image)
    server.client.save_label(image, str(label_file(scene, affine)), "final", told)
    mask = np.zeros(SHAPE, np.uint8)
    mask[30:34, 2:8, 8] = 1
    params = {"selected_label_name": "spleen", "propagate": False, "save_as": "its name"}
    server.infer(image, params, label=label_file(mask, affine))
    assert saved_label(server, image)[1] == {"aorta": 1, "vein": 2, "spleen": 3}
