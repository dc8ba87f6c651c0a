"""Files in and out, without a server."""

import os

import numpy as np
import pytest

from imos_engine.volume_file import grid_distance, read_volume
from lib.errors import RequestError
from lib.transforms.volumes import ResultFormat, image_stamp, read_label_map, write_result
from tests.app.images import AFFINES, ball, picture, save_itk, save_nifti


def test_a_file_that_is_replaced_is_another_image(tmp_path):
    path = tmp_path / "image.nii"
    save_nifti(path, picture())
    before = image_stamp(path)
    assert image_stamp(path) == before
    save_nifti(path, np.flip(picture(), 0))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert image_stamp(path) != before


@pytest.mark.parametrize("name", AFFINES)
def test_the_same_grid_in_two_formats_lies_at_no_distance(tmp_path, name):
    save_nifti(tmp_path / "one.nii.gz", picture(), AFFINES[name])
    save_itk(tmp_path / "other.nrrd", picture(), AFFINES[name])
    one, other = read_volume(tmp_path / "one.nii.gz"), read_volume(tmp_path / "other.nrrd")
    assert grid_distance(one, other) == pytest.approx(0, abs=1e-3)
    np.testing.assert_array_equal(one.array, other.array)


def test_the_distance_of_two_grids_is_that_of_their_farthest_corners_in_voxels(tmp_path):
    save_nifti(tmp_path / "one.nii.gz", picture(), np.diag([1.0, 1, 1, 1]))
    save_nifti(tmp_path / "other.nii.gz", picture(), np.diag([1.0, 1, 2, 1]))
    one, other = read_volume(tmp_path / "one.nii.gz"), read_volume(tmp_path / "other.nii.gz")
    assert grid_distance(one, other) == pytest.approx(11 / 2)
    assert grid_distance(other, one) == pytest.approx(11)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", None])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_what_is_written_can_be_read_back(tmp_path, monkeypatch, extension, dtype):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    save_nifti(tmp_path / "image.nii.gz", picture(), AFFINES["oblique"])
    image, labels = read_volume(tmp_path / "image.nii.gz"), ball().astype(np.uint8) * 200
    path = write_result(labels, image, ResultFormat(extension=extension, dtype=dtype, compress=True))
    assert read_volume(path).array.dtype == (dtype or "uint8")
    np.testing.assert_array_equal(read_label_map(path, image), labels)


def test_an_id_that_its_number_type_cannot_hold_is_refused_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    save_nifti(tmp_path / "image.nii.gz", picture())
    image = read_volume(tmp_path / "image.nii.gz")
    with pytest.raises(RequestError, match="300 does not fit into result_dtype uint8"):
        write_result(ball() * 300, image, ResultFormat(extension=".nrrd", dtype="uint8", compress=False))
    assert [path.name for path in tmp_path.iterdir()] == ["image.nii.gz"]
