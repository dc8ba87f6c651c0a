"""A process that is killed while it saves leaves the old label or the new one, and a datastore that opens."""

import json
import multiprocessing
import os
import random
import signal
import time

import nibabel
import numpy as np
import pytest

from lib.datastore.whole_files import WholeFiles
from tests.app.images import save_nifti

SHAPE = (64, 64, 40)
KILLS = 4


@pytest.fixture
def folder(tmp_path):
    """An image, and two labels of it that are told apart by every voxel."""
    save_nifti(tmp_path / "image.nii.gz", np.zeros(SHAPE, np.int16))
    labels = tmp_path / "elsewhere"
    labels.mkdir()
    for value in (1, 2):
        noise = np.random.default_rng(value).integers(0, 2, SHAPE)  # random, so that the file is long
        save_nifti(labels / f"{value}.nii.gz", (noise * value).astype(np.uint8))
    return tmp_path


def opened(folder):
    return WholeFiles(str(folder), extensions=["*.nii.gz"])


def save_forever(folder):
    datastore = opened(folder)
    for turn in range(100_000):
        value = turn % 2 + 1
        datastore.save_label("image", str(folder / "elsewhere" / f"{value}.nii.gz"), "final", {"value": value})


def test_a_label_is_whole_whenever_its_process_is_killed(folder):
    opened(folder).save_label("image", str(folder / "elsewhere" / "1.nii.gz"), "final", {"value": 1})
    seconds = random.Random(0)
    for _ in range(KILLS):
        child = multiprocessing.get_context("fork").Process(target=save_forever, args=(folder,))
        child.start()
        time.sleep(0.1 + 0.2 * seconds.random())
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        datastore = opened(folder)
        label = np.asarray(nibabel.load(datastore.get_label_uri("image", "final")).dataobj)
        (value,) = set(np.unique(label).tolist()) - {0}
        stored = nibabel.load(folder / "elsewhere" / f"{value}.nii.gz")
        np.testing.assert_array_equal(label, np.asarray(stored.dataobj))
        assert datastore.get_label_info("image", "final")["value"] in (1, 2)


def test_a_disk_that_fills_up_costs_the_new_label_alone(folder, monkeypatch):
    datastore = opened(folder)
    datastore.save_label("image", str(folder / "elsewhere" / "1.nii.gz"), "final", {"value": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lib.datastore.whole_files.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="space"):
        datastore.save_label("image", str(folder / "elsewhere" / "2.nii.gz"), "final", {"value": 2})
    again = opened(folder)
    assert again.get_label_info("image", "final")["value"] == 1
    assert np.asarray(nibabel.load(again.get_label_uri("image", "final")).dataobj).max() == 1


def test_the_list_of_labels_says_what_was_told_of_each(folder):
    datastore = opened(folder)
    datastore.save_label("image", str(folder / "elsewhere" / "1.nii.gz"), "final", {"label_names": {"liver": 1}})
    listed = json.loads((folder / "datastore_v2.json").read_text())["objects"]["image"]["labels"]["final"]
    assert listed["info"]["label_names"] == {"liver": 1}
    assert listed["info"]["name"] == "image.nii.gz"
    assert opened(folder).get_labels_by_image_id("image") == {"final": "image"}
