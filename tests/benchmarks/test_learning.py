from pathlib import Path

import numpy as np
import pytest

from benchmarks.cases import LabelledCase
from benchmarks.sites.halves import halves
from benchmarks.sites.learning_report import differences, draw, print_report

TRAINED = {
    "seconds": 60.0, "processor_seconds": 50.0, "peak_mib": 900.0, "megabytes": 8.1, "version": "site/1",
    "published": True, "provisional": True,
}  # fmt: skip
RESULTS = {
    "settings": {"steps": None},
    "never": [0.2, 0.3],
    "curve": [{"labels": labels, "learned": [0.5, 0.6], **TRAINED} for labels in (1, 2)],
    "full": [{"labels": 1, "learned": [0.6, 0.7], **TRAINED}],
    "known": {"never": {"a/x": 0.8, "b/y": 0.6}, "adapters": {"a/x": 0.79, "b/y": 0.6}},
    "latency": {"idle": 1.0, "training": 1.5, "stopped": 0.2},
}


def case_of(truth):
    names = {int(label): f"label {label}" for label in np.unique(truth) if label}
    image = np.arange(truth.size, dtype=np.int16).reshape(truth.shape)
    return LabelledCase(
        name="case", modality="MRI", image=image, truth=truth, label_names=names, spacing_mm=(1.0, 2.0, 3.0),
        slice_axis=1,
    )  # fmt: skip


def test_both_halves_of_a_case_together_are_the_case_and_hold_the_largest_shared_labels(tmp_path):
    truth = np.zeros((6, 10, 5), dtype=np.int32)
    truth[0], truth[1:4], truth[5, :5] = 1, 2, 3  # the third lies in the first half alone
    case = case_of(truth)
    first, second = halves(case, tmp_path, most=1)
    kept = np.where(truth == 2, 2, 0)
    np.testing.assert_array_equal(np.concatenate((first.truth, second.truth), axis=1), kept)
    assert first.labels == second.labels == {2: "label 2"}
    assert set(halves(case, tmp_path, most=5)[0].labels) == {1, 2}


def test_a_case_whose_labels_do_not_reach_both_halves_is_refused(tmp_path):
    truth = np.zeros((4, 10, 4), dtype=np.int32)
    truth[:, :3] = 1
    with pytest.raises(ValueError, match="both halves"):
        halves(case_of(truth), tmp_path, most=1)


def test_what_is_lost_is_counted_label_by_label():
    assert differences(RESULTS["known"], "adapters") == pytest.approx({"a/x": -0.01, "b/y": 0.0})


@pytest.mark.parametrize("left_out", [(), ("known", "full", "latency")])
def test_a_run_is_told_and_drawn_with_what_it_measured(tmp_path, capsys, left_out):
    results = {name: value for name, value in RESULTS.items() if name not in left_out}
    print_report(results)
    draw(results, tmp_path / "a.png")
    assert "+0.300" in capsys.readouterr().out
    assert Path(tmp_path, "a.png").stat().st_size > 1000
