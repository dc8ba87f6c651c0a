from __future__ import annotations

import gzip
from contextlib import suppress

import nibabel
import numpy as np
import pytest
import SimpleITK

from imos_engine.volume_file import RGB24, VolumeFileError, read_volume, write_labels
from tests.engine.stored_images import ITK, NIFTI, RIGID, label_values, store_image


def rgb24(*shape: int) -> np.ndarray:
    return np.zeros(shape, RGB24)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 5, 6, 2), np.int16), "select one 3-D image"),
        (np.zeros((4, 5, 6, 1, 3), np.int16), "select one 3-D image"),
        (np.zeros((4, 5), np.int16), "a 3-D image is needed"),
        (rgb24(4, 5), "a 3-D image is needed"),
        (rgb24(4, 5, 6, 2), "3-D image"),
        (np.zeros((4, 1, 1), np.int16), "more than one row and column"),
        (np.zeros((4, 5, 6), np.complex64), "grey numbers or RGB24 are needed"),
        (np.zeros((4, 5, 6), [*RGB24.descr, ("A", "u1")]), "grey numbers or RGB24 are needed"),
    ],
    ids=["4-D", "5-D", "2-D", "2-D colour", "4-D colour", "a line", "complex", "colour with alpha"],
)
def test_a_nifti_that_holds_no_volume_is_refused_with_its_shape(tmp_path, values, message):
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "image.nii")
    with pytest.raises(VolumeFileError, match=message):
        read_volume(tmp_path / "image.nii")


@pytest.mark.parametrize("suffix", ITK)
@pytest.mark.parametrize("kind", ["2-D", "two values a voxel"])
def test_an_itk_image_that_holds_no_volume_is_refused(tmp_path, suffix, kind):
    values = np.zeros((4, 5), np.int16) if kind == "2-D" else np.zeros((4, 5, 6, 2), np.int16)
    image = SimpleITK.GetImageFromArray(values, isVector=kind != "2-D")
    SimpleITK.WriteImage(image, str(tmp_path / f"image{suffix}"))
    with pytest.raises(VolumeFileError, match=rf"image{suffix} has"):
        read_volume(tmp_path / f"image{suffix}")


@pytest.mark.parametrize("suffix", [*NIFTI, *ITK, ".nhdr", ".mhd"])
@pytest.mark.parametrize("content", [b"", b"no image", bytes(1000), b"\xff" * 1000], ids=["empty", "text", "0", "255"])
def test_a_file_of_another_kind_is_refused_with_its_name(tmp_path, suffix, content):
    (tmp_path / f"image{suffix}").write_bytes(content)
    with pytest.raises(VolumeFileError, match=rf"image{suffix} cannot be read"):
        read_volume(tmp_path / f"image{suffix}")


@pytest.mark.parametrize("suffix", NIFTI + ITK)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_half_a_file_is_refused(tmp_path, suffix, share):
    path = store_image(tmp_path, suffix, RIGID["straight"])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(VolumeFileError, match="cannot be read"):
        read_volume(path)


@pytest.mark.parametrize("place", range(20, 420, 40))
@pytest.mark.parametrize("suffix", NIFTI + ITK)
def test_a_damaged_file_is_either_read_or_refused_as_such(tmp_path, suffix, place):
    path = store_image(tmp_path, suffix, RIGID["straight"])
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with suppress(VolumeFileError):
        assert read_volume(path).array.ndim in (3, 4)


def test_a_header_that_promises_more_than_memory_holds_is_refused(tmp_path):
    path = store_image(tmp_path, ".nii", RIGID["straight"])
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([32767] * 3, "<i2").tobytes()  # dim[1] to dim[3]
    path.write_bytes(content)
    (tmp_path / "image.nii.gz").write_bytes(gzip.compress(content))
    for name in ("image.nii", "image.nii.gz"):
        with pytest.raises(VolumeFileError, match="cannot be read"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["image.png", "image.dcm", "image", "nii.gz.txt"])
def test_a_name_that_promises_no_volume_is_refused_with_those_that_do(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(VolumeFileError, match=r"\.nii, \.nii\.gz, \.nrrd"):
        read_volume(tmp_path / name)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(VolumeFileError, match=r"there is no file nowhere\.nii"):
        read_volume(tmp_path / "nowhere.nii")


def test_labels_on_another_grid_are_refused_with_both_shapes(tmp_path):
    volume = read_volume(store_image(tmp_path, ".nii", RIGID["straight"]))
    with pytest.raises(VolumeFileError, match=r"labels have shape \(5, 6, 8\), the image \(5, 6, 7\)"):
        write_labels(tmp_path / "labels.nii", np.zeros((5, 6, 8), np.uint8), volume)
    assert not (tmp_path / "labels.nii").exists()


@pytest.mark.parametrize("name", ["labels.png", "labels", "labels.nhdr", "labels.mhd"])
def test_labels_are_written_to_formats_of_one_file_only(tmp_path, name):
    volume = read_volume(store_image(tmp_path, ".nii", RIGID["straight"]))
    with pytest.raises(VolumeFileError, match=rf"{name} is no name we write"):
        write_labels(tmp_path / name, label_values(), volume)
    assert [path.name for path in tmp_path.iterdir()] == ["image.nii"]
