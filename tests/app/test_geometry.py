"""Clicks and results lie where they should, whatever the orientation and the format of the file."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from imos_engine.metrics.overlap import dice
from tests.app.images import AFFINES, CENTRE, FOUND, ball, save_itk

FLIP_XY = np.diag([-1.0, -1.0, 1.0])  # between NIfTI's patient axes and ITK's
CLICKS = {"foreground": [list(CENTRE)], "background": [[2, 2, 6], [37, 45, 6]], "propagate": False, "slice_axis": 2}


def centre_of_itk(path):
    """Where a mask's centre of mass lies in the patient, in ITK's axes (LPS, mm), as Slicer would show it."""
    image = SimpleITK.ReadImage(str(path))
    inside = np.argwhere(SimpleITK.GetArrayFromImage(image).T > 0)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(inside.mean(0)))


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("image", [*AFFINES, "nrrd", "mha"])
def test_a_click_lands_on_its_voxel_and_the_mask_where_the_object_is(server, image, extension):
    file, _ = server.client.infer("imos", image, {**CLICKS, "result_extension": extension})
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file)).T
    expected = np.zeros(labels.shape, bool)
    expected[..., CENTRE[2]] = ball()[..., CENTRE[2]]
    assert file.endswith(extension)
    assert labels[CENTRE] > 0
    assert dice(labels > 0, expected) > FOUND

    affine = AFFINES[{"nrrd": "oblique", "mha": "permuted"}.get(image, image)]
    truth = affine[:3, :3] @ np.argwhere(labels > 0).mean(0) + affine[:3, 3]
    np.testing.assert_allclose(FLIP_XY @ centre_of_itk(file), truth, atol=1e-3)
    if extension == ".nii.gz":
        np.testing.assert_allclose(nibabel.load(file).affine, affine, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_is_carried_along_the_axis_that_was_asked_for(server, axis):
    first, last = CENTRE[axis] - 3, CENTRE[axis] + 2
    params = {"foreground": [list(CENTRE)], "slice_axis": str(axis), "slice_range": [first, last]}
    labels, answer = server.infer("plain", params)
    touched = [index for index in range(labels.shape[axis]) if np.take(labels, index, axis).any()]
    assert touched == list(range(first, last + 1))
    assert [(seed["axis"], seed["slice"]) for seed in answer["imos"]["seeds"]] == [(axis, CENTRE[axis])]


def test_a_label_file_of_another_format_is_matched_by_where_its_voxels_lie(server, tmp_path):
    seed = np.zeros(ball().shape, np.uint8)
    seed[..., 6] = ball()[..., 6] * 3
    save_itk(tmp_path / "seed.nrrd", seed, AFFINES["rotated"])
    labels, _ = server.infer("rotated", {"propagate": False}, label=tmp_path / "seed.nrrd")
    np.testing.assert_array_equal(labels, seed)
