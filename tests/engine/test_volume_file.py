from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from imos_engine import volume_file
from imos_engine.volume_file import RGB24, VolumeFileError, read_volume, write_labels
from tests.engine.stored_images import (
    CORNERS,
    ITK,
    NIFTI,
    RIGID,
    SHAPE,
    SHEARED,
    SPACING,
    image_values,
    label_values,
    places,
    places_by_itk,
    places_by_nibabel,
    store_image,
    voxels,
)


@pytest.mark.parametrize("suffix", NIFTI + ITK)
@pytest.mark.parametrize("orientation", RIGID)
def test_voxels_come_in_the_order_of_the_file_with_their_place_in_the_patient(tmp_path, suffix, orientation):
    path = store_image(tmp_path, suffix, RIGID[orientation])
    volume = read_volume(path)
    assert np.array_equal(volume.array, image_values())
    assert volume.shape == SHAPE
    np.testing.assert_allclose(volume.spacing_mm, SPACING, rtol=1e-5)
    np.testing.assert_allclose(nibabel.affines.apply_affine(volume.affine, CORNERS), places(path), atol=1e-3)


@pytest.mark.parametrize("written", NIFTI + ITK)
@pytest.mark.parametrize("read", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("orientation", RIGID)
def test_labels_lie_voxel_by_voxel_where_the_image_lies_whatever_the_formats(tmp_path, read, written, orientation):
    image = store_image(tmp_path, read, RIGID[orientation])
    labels = tmp_path / f"labels{written}"
    write_labels(labels, label_values(), read_volume(image))
    assert np.array_equal(voxels(labels), label_values())
    np.testing.assert_allclose(places(labels), places(image), atol=1e-3)
    np.testing.assert_allclose(places_by_itk(labels), places(image), atol=1e-3)
    assert np.array_equal(read_volume(labels).array, label_values())


@pytest.mark.parametrize("read", NIFTI)
@pytest.mark.parametrize("written", NIFTI + ITK)
def test_labels_of_a_sheared_nifti_keep_its_grid(tmp_path, read, written):
    image, labels = store_image(tmp_path, read, SHEARED), tmp_path / f"labels{written}"
    write_labels(labels, label_values(), read_volume(image))
    assert np.array_equal(voxels(labels), label_values())
    np.testing.assert_allclose(places(labels), places(image), atol=1e-3)


def test_both_transforms_of_a_nifti_and_their_codes_are_kept(tmp_path):
    image = nibabel.Nifti1Image(image_values(), RIGID["rotated"])
    image.set_qform(RIGID["flipped"], code=1)
    image.set_sform(RIGID["rotated"], code=4)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "image.nii")
    write_labels(tmp_path / "labels.nii", label_values(), read_volume(tmp_path / "image.nii"))
    labels = nibabel.load(tmp_path / "labels.nii")
    for transform, code in ((labels.get_qform(coded=True), 1), (labels.get_sform(coded=True), 4)):
        assert transform[1] == code
    np.testing.assert_allclose(labels.get_qform(), RIGID["flipped"], atol=1e-4)
    np.testing.assert_allclose(labels.get_sform(), RIGID["rotated"], atol=1e-4)
    assert labels.header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize("codes", [(1, 0), (0, 2), (0, 0)])
def test_a_nifti_with_one_transform_or_none_gives_labels_at_the_same_place(tmp_path, codes):
    image = nibabel.Nifti1Image(image_values(), RIGID["rotated"])
    image.set_qform(RIGID["rotated"] if codes[0] else None, code=codes[0])
    image.set_sform(RIGID["rotated"] if codes[1] else None, code=codes[1])
    path, labels = tmp_path / "image.nii", tmp_path / "labels.nii"
    nibabel.save(image, path)
    write_labels(labels, label_values(), read_volume(path))
    np.testing.assert_allclose(places_by_nibabel(labels), places_by_nibabel(path), atol=1e-3)
    np.testing.assert_allclose(places_by_itk(labels), places_by_itk(path), atol=1e-3)
    np.testing.assert_allclose(read_volume(labels).spacing_mm, read_volume(path).spacing_mm, rtol=1e-5)


def test_scaled_nifti_values_are_read_in_their_unit(tmp_path):
    image = nibabel.Nifti1Image(image_values(), np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    nibabel.save(image, tmp_path / "image.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "image.nii").array, 2.0 * image_values() - 1000)


def test_colour_video_is_read_from_rgb24(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    stored = np.zeros(SHAPE, RGB24)
    for position, channel in enumerate("RGB"):
        stored[channel] = colours[..., position]
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / "video.nii.gz")
    volume = read_volume(tmp_path / "video.nii.gz")
    assert np.array_equal(volume.array, colours)
    assert volume.shape == SHAPE
    write_labels(tmp_path / "labels.nii.gz", label_values(), volume)
    assert np.array_equal(voxels(tmp_path / "labels.nii.gz"), label_values())


@pytest.mark.parametrize("suffix", ITK)
def test_colour_is_read_from_itk_formats_in_the_order_of_the_file(tmp_path, suffix):
    colours = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(colours.transpose(2, 1, 0, 3)), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / f"video{suffix}"))
    assert np.array_equal(read_volume(tmp_path / f"video{suffix}").array, colours)


def test_a_fourth_axis_of_length_1_is_dropped(tmp_path):
    nibabel.save(nibabel.Nifti1Image(image_values()[..., None], RIGID["rotated"]), tmp_path / "image.nii")
    volume = read_volume(tmp_path / "image.nii")
    assert np.array_equal(volume.array, image_values())
    write_labels(tmp_path / "labels.nii", label_values(), volume)
    assert nibabel.load(tmp_path / "labels.nii").shape == SHAPE


@pytest.mark.parametrize(("largest", "dtype"), [(3, np.uint8), (255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_labels_are_stored_in_the_smallest_type_that_holds_them(tmp_path, largest, dtype):
    volume = read_volume(store_image(tmp_path, ".nrrd", RIGID["straight"]))
    labels = label_values().astype(np.int64)
    labels[0, 0, 0] = largest
    write_labels(tmp_path / "labels.nrrd", labels, volume)
    assert voxels(tmp_path / "labels.nrrd").dtype == dtype
    assert np.array_equal(voxels(tmp_path / "labels.nrrd"), labels)


def test_labels_are_stored_in_the_type_asked_for_or_refused_where_it_cannot_hold_them(tmp_path):
    volume = read_volume(store_image(tmp_path, ".nii", RIGID["straight"]))
    write_labels(tmp_path / "labels.nii", label_values(), volume, dtype=np.uint16)
    assert voxels(tmp_path / "labels.nii").dtype == np.uint16
    for value, message in ((300, "labels up to 300 do not fit uint8"), (-1, "labels must be 0 or more, got -1")):
        with pytest.raises(VolumeFileError, match=message):
            write_labels(tmp_path / "labels.nii", np.full(SHAPE, value), volume, dtype=np.uint8)


def test_uncompressed_nrrd_is_what_ohif_reads(tmp_path):
    volume = read_volume(store_image(tmp_path, ".nii", RIGID["rotated"]))
    write_labels(tmp_path / "labels.nrrd", label_values(), volume, compress=False)
    content = (tmp_path / "labels.nrrd").read_bytes()
    assert b"encoding: raw" in content
    assert content.endswith(np.ascontiguousarray(label_values().T).tobytes())


@pytest.mark.parametrize("suffix", NIFTI + ITK)
def test_an_interrupted_write_leaves_the_old_labels_and_nothing_beside_them(tmp_path, suffix, monkeypatch):
    volume = read_volume(store_image(tmp_path, ".nrrd", RIGID["straight"]))
    labels = tmp_path / f"labels{suffix}"
    write_labels(labels, label_values(), volume)

    def disk_full(*arguments, **options):
        target = next(Path(value) for value in arguments if isinstance(value, str | Path))
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(volume_file.nibabel, "save", disk_full)
    monkeypatch.setattr(volume_file.SimpleITK, "WriteImage", disk_full)
    with pytest.raises(OSError, match="no space"):
        write_labels(labels, 1 + label_values(), volume)
    monkeypatch.undo()
    assert np.array_equal(voxels(labels), label_values())
    assert {path.name for path in tmp_path.iterdir()} == {"image.nrrd", labels.name}


@pytest.mark.parametrize("suffix", NIFTI + ITK)
def test_who_has_the_older_labels_open_keeps_reading_them_whole(tmp_path, suffix):
    volume = read_volume(store_image(tmp_path, ".mha", RIGID["straight"]))
    labels, opened = tmp_path / f"labels{suffix}", tmp_path / f"opened{suffix}"
    write_labels(labels, label_values(), volume)
    opened.hardlink_to(labels)
    write_labels(labels, label_values() + 1, volume)
    assert np.array_equal(voxels(opened), label_values())


@pytest.mark.parametrize("suffix", NIFTI + ITK)
def test_labels_replace_older_ones_and_leave_nothing_beside_them(tmp_path, suffix):
    volume = read_volume(store_image(tmp_path, ".mha", RIGID["straight"]))
    for added in (0, 1):
        write_labels(tmp_path / f"labels{suffix}", label_values() + added, volume)
    assert np.array_equal(voxels(tmp_path / f"labels{suffix}"), label_values() + 1)
    assert {path.name for path in tmp_path.iterdir()} == {"image.mha", f"labels{suffix}"}
