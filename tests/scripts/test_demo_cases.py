"""What the demo asks about: the sample of a fresh machine, and the user's own images."""

import nibabel
import numpy as np
import pytest

from imos_engine.sequence import slices_touched
from scripts.demo.own_images import NothingToDoError, find_case
from scripts.demo.sample import write_sample

SHAPE = (20, 24, 9)
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    return path


def two_boxes():
    """Label 1 is largest on slice 3, label 7 on slice 5."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:8, 4:8, 1:7] = 1
    labels[4:9, 4:9, 3] = 1
    labels[12:16, 12:16, 2:8] = 7
    labels[12:17, 12:17, 5] = 7
    return labels


@pytest.fixture
def folder(tmp_path):
    """A user's images, the second one labelled, and an empty place for the demo's studies."""
    save(tmp_path / "images" / "a.nii.gz", np.zeros(SHAPE, np.int16))
    save(tmp_path / "images" / "b.nii.gz", np.ones(SHAPE, np.int16))
    save(tmp_path / "images" / "labels" / "final" / "b.nii.gz", two_boxes())
    (tmp_path / "studies").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("studies"))


def marked_slices(case, structure):
    marks = np.logical_or.reduce(list(case.request.marks_on(structure).values()))
    return slices_touched(marks, case.axis)


def test_the_sample_is_marked_on_one_slice_in_the_middle_of_the_structure(sample):
    (structure,) = sample.structures
    touched = slices_touched(structure.truth, sample.axis)
    assert marked_slices(sample, structure) == [touched[len(touched) // 2]]


def test_the_strokes_of_the_sample_are_right(sample):
    (structure,) = sample.structures
    marks = sample.request.marks_on(structure)
    assert marks.keys() == {"foreground_scribbles", "background_scribbles"}
    assert structure.truth[marks["foreground_scribbles"]].all()
    assert not structure.truth[marks["background_scribbles"]].any()


@pytest.mark.parametrize("slices", [[92], [92, 150]])
def test_corrected_slices_of_the_sample_are_painted_as_they_truly_are(sample, slices):
    (structure,) = sample.structures
    (first,) = marked_slices(sample, structure)
    marks = sample.with_slices(slices).marks_on(structure)
    assert slices_touched(marks["painted"], sample.axis) == slices
    assert slices_touched(marks["foreground_scribbles"], sample.axis) == [first]
    painted, truth = (np.moveaxis(one, sample.axis, 0)[slices] for one in (marks["painted"], structure.truth))
    np.testing.assert_array_equal(painted, truth)


def test_a_slice_that_is_painted_after_it_was_scribbled_on_loses_its_strokes(sample):
    (structure,) = sample.structures
    marks = sample.with_slices(marked_slices(sample, structure)).marks_on(structure)
    assert marks.keys() == {"painted"}


def test_the_truth_of_the_sample_is_one_piece_over_many_slices(sample):
    (structure,) = sample.structures
    touched = slices_touched(structure.truth, sample.axis)
    assert len(touched) > 60
    assert touched == list(range(touched[0], touched[-1] + 1))


def test_a_label_becomes_one_seed_slice_where_it_is_largest(folder):
    case = find_case(folder / "images", folder / "studies", seeds=None)
    assert case.image.name == "b.nii.gz"
    assert [marked_slices(case, structure) for structure in case.structures] == [[3], [5]]
    for structure in case.structures:
        (index,) = marked_slices(case, structure)
        np.testing.assert_array_equal(case.request.marks[..., index] == structure.label, structure.truth[..., index])


def test_the_users_folder_is_only_read(folder):
    before = sorted((path, path.stat().st_mtime_ns) for path in (folder / "images").rglob("*"))
    find_case(folder / "images", folder / "studies", seeds=None)
    assert sorted((path, path.stat().st_mtime_ns) for path in (folder / "images").rglob("*")) == before
    assert [path.name for path in (folder / "studies").iterdir()] == ["b.nii.gz"]


def test_painted_slices_find_the_image_on_whose_grid_they_lie(folder):
    marks = np.zeros(SHAPE, np.uint8)
    marks[3:6, 3:6, 4] = 2
    save(folder / "images" / "0_other_grid.nii.gz", np.zeros((5, 5, 5), np.int16))
    case = find_case(folder / "images", folder / "studies", seeds=save(folder / "marks.nii.gz", marks))
    assert case.image.name == "a.nii.gz"
    assert case.axis == 2
    assert case.structures[0].truth is None
    np.testing.assert_array_equal(case.request.marks, marks)


def test_painted_slices_on_no_images_grid_are_refused(folder):
    marks = save(folder / "marks.nii.gz", np.ones((4, 4, 4), np.uint8))
    with pytest.raises(NothingToDoError, match=r"\(4, 4, 4\)"):
        find_case(folder / "images", folder / "studies", seeds=marks)


def test_images_without_label_or_seed_are_answered_with_what_to_give(folder):
    (folder / "images" / "labels" / "final" / "b.nii.gz").unlink()
    with pytest.raises(NothingToDoError, match="SEEDS="):
        find_case(folder / "images", folder / "studies", seeds=None)


def test_a_folder_without_images_says_which_files_are_read(tmp_path):
    with pytest.raises(NothingToDoError, match=r"\.nii\.gz"):
        find_case(tmp_path, tmp_path, seeds=None)
