"""What the trainer reads: the request, and the labels of a datastore."""

import nibabel
import numpy as np
import pytest

from lib.errors import RequestError
from lib.trainers.accepted_labels import accepted_volumes
from lib.trainers.adapters import processes_for
from lib.trainers.pacing import Pacing
from lib.trainers.request import ADVERTISED, read_train_request
from tests.app.images import AFFINES, save_nifti

SHAPE = (33, 34, 6)


class Labels:
    """As much of a datastore as the trainer asks for: images with labels by tag."""

    def __init__(self, folder):
        self.folder, self.held = folder, {}

    def put(self, image, array, affine, *, info=None, **labels):
        save_nifti(self.folder / f"{image}.nii.gz", array, affine)
        for tag, label in labels.items():
            save_nifti(self.folder / f"{image}.{tag}.nii.gz", label, affine)
        self.held[image] = (set(labels), info or {})

    def list_images(self):
        return list(self.held)

    def get_image_uri(self, image):
        return str(self.folder / f"{image}.nii.gz")

    def get_label_by_image_id(self, image, tag):
        return image if tag in self.held[image][0] else ""

    def get_label_uri(self, label, tag):
        return str(self.folder / f"{label}.{tag}.nii.gz")

    def get_label_info(self, label, tag):
        return self.held[label][1]


@pytest.fixture
def datastore(tmp_path):
    return Labels(tmp_path)


def blocks():
    labels = np.zeros(SHAPE, np.uint16)
    labels[4:12, 5:20, 1:4] = 300
    labels[20:30, 5:20, 2:5] = 7
    return labels


def picture():
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)


def learned(datastore, folder):
    return list(accepted_volumes(datastore, folder))


def test_only_final_labels_are_learned_by_the_names_that_were_saved_with_them(datastore, tmp_path):
    told = {"label_info": [{"name": "liver", "idx": 300}, {"name": "cyst", "idx": 7}]}
    datastore.put("done", picture(), AFFINES["plain"], final=blocks(), info=told)
    datastore.put("proposed", picture(), AFFINES["plain"], original=blocks())
    (volume,) = learned(datastore, tmp_path / "voxels")
    assert set(volume.present.values()) == {"liver", "cyst"}
    sizes = {name: int((volume.labels == value).sum()) for value, name in volume.present.items()}
    assert sizes == {"liver": 8 * 15 * 3, "cyst": 10 * 15 * 3}


def test_slices_that_the_expert_changed_are_known(datastore, tmp_path):
    final = blocks()
    proposed = final.copy()
    proposed[4:6, :, 2] = 0
    datastore.put("a", picture(), AFFINES["plain"], final=final, original=proposed)
    (volume,) = learned(datastore, tmp_path / "voxels")
    assert np.flatnonzero(volume.changed.any(axis=tuple({0, 1, 2} - {volume.axis}))).tolist() == [2]


def test_the_same_anatomy_is_learned_alike_however_it_is_stored(datastore, tmp_path):
    """Two files of one anatomy: as it is, and with every axis flipped and two exchanged."""
    image, labels, affine = picture(), blocks(), np.diag([-1.0, -1.0, 3.0, 1.0])
    datastore.put("as_shown", image, affine, final=labels)
    turned = nibabel.Nifti1Image(image, affine).as_reoriented(np.array([[1, -1], [0, -1], [2, -1]]))
    turned_labels = nibabel.Nifti1Image(labels, affine).as_reoriented(np.array([[1, -1], [0, -1], [2, -1]]))
    datastore.put("turned", np.asarray(turned.dataobj), turned.affine, final=np.asarray(turned_labels.dataobj))
    one, other = learned(datastore, tmp_path / "voxels")
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert (one.axis, one.image_sha256, one.label_sha256) == (other.axis, other.image_sha256, other.label_sha256)
    np.testing.assert_array_equal(one.images, image)


def test_a_label_that_cannot_be_used_is_left_out_and_the_others_are_learned(datastore, tmp_path, caplog):
    datastore.put("good", picture(), AFFINES["plain"], final=blocks())
    datastore.put("other_grid", picture(), AFFINES["plain"], final=blocks()[:-1])
    datastore.put("fractions", picture(), AFFINES["plain"], final=blocks().astype(np.float32) / 2 + 0.25)
    assert len(learned(datastore, tmp_path / "voxels")) == 1
    assert caplog.text.count("left out") == 2


def test_a_request_sends_back_what_it_was_shown():
    asked = read_train_request(ADVERTISED, default_device="cpu")
    assert (asked.adapter, asked.device, asked.learning.steps, asked.learning.decoder) == ("site", "cpu", None, False)
    assert read_train_request({}, default_device="cpu") == asked
    assert read_train_request({"train": "adapters+decoder", "steps": "12"}, default_device="cpu").learning.steps == 12


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": "many"},
        {"steps": -1},
        {"replay": 2},
        {"train": "all"},
        {"adapter": "../x"},
        {"device": "abacus"},
        {"multi_gpu": "maybe"},
        {"gradient_checkpointing": 2},
    ],
)
def test_a_request_that_cannot_be_used_is_refused_with_a_sentence(wrong):
    with pytest.raises(RequestError) as refused:
        read_train_request(wrong, default_device="cpu")
    assert str(next(iter(wrong.values()))) in str(refused.value)


@pytest.mark.parametrize(
    ("seen", "fields", "processes"),
    [(0, {}, 1), (1, {}, 1), (3, {}, 3), (3, {"multi_gpu": "false"}, 1), (3, {"device": "cpu"}, 1)],
)
def test_a_training_takes_all_gpus_that_can_be_seen_and_says_when_there_is_only_one(
    monkeypatch, caplog, seen, fields, processes
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: seen > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: seen)
    caplog.set_level("INFO")
    asked = read_train_request(fields, default_device="cuda")
    assert processes_for(asked) == processes
    alone = processes == 1 and asked.multi_gpu
    assert ("only one device" in caplog.text) is alone


def test_a_training_ends_when_a_signal_came_and_makes_way_before():
    calls = []

    class Machine:
        def wait_for_turn(self):
            calls.append("waited")

    pacing = Pacing(Machine(), interrupted=lambda: len(calls) == 2)
    assert [pacing(), pacing()] == [False, True]
