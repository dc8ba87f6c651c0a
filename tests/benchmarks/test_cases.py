from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cases import find_cases, measurable_labels, read_case
from tests.benchmarks.labelled_folder import disk_volume, write_case


def test_pictures_of_a_video_lie_on_the_grid_of_their_labels(tmp_path):
    label = disk_volume([5, 6, 7, 8, 7, 6], 1, centre=(28, 10))
    write_case(tmp_path, "video", label, modality="Endoscopy (RGB video)", video=True)
    case = read_case(tmp_path / "video")
    assert case.modality == "Endoscopy"
    assert case.image.shape == (*label.shape, 3)
    assert case.image[label > 0].min() >= 90 > case.image[label == 0].max()


@pytest.mark.parametrize(("axis", "number"), [("i", 0), ("j", 1), ("k", 2)])
def test_frames_run_along_the_axis_that_the_case_names(tmp_path, axis, number):
    label = disk_volume([5, 6, 7, 8, 7, 6], 1)
    write_case(tmp_path, "case", label, axis=axis)
    case = read_case(tmp_path / "case")
    assert len(case.true_frames) == label.shape[number]
    sizes = [np.count_nonzero(label.take(index, number)) for index in range(label.shape[number])]
    assert sizes[case.seed_frame(1)] == max(sizes)


def test_labels_too_short_or_too_small_are_left_out_and_named(tmp_path):
    label = disk_volume([5, 6, 7, 8, 7, 6], 1)
    label[0, :31, :2] = 2
    label[30, 0:6, :] = 3
    write_case(tmp_path, "case", label)
    labels, skipped = measurable_labels(read_case(tmp_path / "case"))
    assert labels == [1]
    assert [(one.label, one.reason.split(",")[0]) for one in skipped] == [
        ("organ 2", "on 2 frames"),
        ("organ 3", "largest frame has 6 px"),
    ]


def test_a_limit_keeps_the_largest_labels_in_their_order(tmp_path):
    label = disk_volume([4] * 6, 7, centre=(8, 8)) + disk_volume([5] * 6, 2, centre=(30, 20))
    label += disk_volume([3.5] * 6, 4, centre=(8, 24))
    write_case(tmp_path, "case", label)
    assert measurable_labels(read_case(tmp_path / "case"), limit=2)[0] == [2, 7]


def test_folders_without_labels_are_no_cases(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "meta.json").write_text("{}")
    with pytest.raises(ValueError, match="no labelled case"):
        find_cases(tmp_path)
