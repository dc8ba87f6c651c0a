from __future__ import annotations

import json
import re

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.carry import carry_nowhere
from benchmarks.cases import measurable_labels, read_case
from imos_engine.metrics import score_sequence
from imos_engine.network.checkpoint import save_network
from tests.benchmarks.labelled_folder import disk_volume, write_case
from tests.engine.narrow import narrow_network


@pytest.fixture
def folder(tmp_path):
    """Two MRI cases and one CT case, with four labels in all."""
    together = disk_volume([0, 5, 6, 7, 6, 0], 1) + disk_volume([0, 4, 4, 6, 4, 0], 3, centre=(34, 26))
    write_case(tmp_path, "a", together)
    write_case(tmp_path, "b", disk_volume([5, 6, 7, 8, 7, 6], 1))
    write_case(tmp_path, "c", disk_volume([9, 6, 5, 5, 5, 5], 1), modality="CT")
    return tmp_path


def test_repeating_the_seed_scores_what_its_definition_says(folder):
    case = read_case(folder / "a")
    [result] = accuracy.measure_case(case, [[1]], carry_nowhere)
    truth = np.moveaxis(case.truth == 1, 2, 0)
    repeated = np.stack([truth[3]] * 6)
    assert result.seed_frame == 3
    assert result.repeat == result.ours == score_sequence(repeated, truth, seeds=[3])
    assert result.repeat.leak == 2 * truth[3].sum() / truth.sum()


def test_a_perfect_carrier_scores_one_for_every_label_carried_together(folder):
    case = read_case(folder / "a")
    labels, _ = measurable_labels(case)
    groups = accuracy.group_labels(case, labels, together=True)
    assert groups == [[1, 3]]
    results = accuracy.measure_case(case, groups, lambda case, group: case.true_frames)
    assert [(result.label, result.ours.jf, result.ours.dice) for result in results] == [
        ("organ 1", 1, 1),
        ("organ 3", 1, 1),
    ]


def test_labels_are_grouped_only_when_asked_and_only_by_seed_slice(folder):
    case = read_case(folder / "a")
    assert accuracy.group_labels(case, [1, 3], together=False) == [[1], [3]]
    write_case(folder, "d", disk_volume([9, 6, 5, 5, 5, 5], 1) + disk_volume([0, 0, 0, 0, 4, 5], 2, centre=(35, 28)))
    assert accuracy.group_labels(read_case(folder / "d"), [1, 2], together=True) == [[1], [2]]


def test_every_modality_weighs_the_same_in_the_overall_mean(folder):
    results = [
        result
        for name in "abc"
        for case in [read_case(folder / name)]
        for result in accuracy.measure_case(case, [[label] for label in measurable_labels(case)[0]], carry_nowhere)
    ]
    means = accuracy.summary(results)
    scores = {name: [r.repeat.jf for r in results if r.modality == name] for name in ("MRI", "CT")}
    assert len(scores["MRI"]) == 3
    assert means["MRI"]["repeat"]["jf"] == pytest.approx(np.mean(scores["MRI"]))
    overall = (np.mean(scores["MRI"]) + np.mean(scores["CT"])) / 2
    assert means["all modalities alike"]["repeat"]["jf"] == pytest.approx(overall)
    assert means["all labels alike"]["repeat"]["jf"] == pytest.approx(np.mean(scores["MRI"] + scores["CT"]))


def test_the_command_prints_every_label_and_writes_every_number(folder, tmp_path, capsys):
    weights, report = tmp_path / "narrow.safetensors", tmp_path / "report.json"
    save_network(weights, narrow_network())
    arguments = [str(folder), "--weights", str(weights), "--size", "48", "--device", "cpu", "--json", str(report)]
    assert accuracy.main(arguments) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"^[abc] +organ \d", printed, re.MULTILINE)) == 4
    numbers = json.loads(report.read_text())
    assert [row["case"] for row in numbers["labels"]] == ["a", "a", "b", "c"]
    assert all(0 <= row["ours"]["jf"] <= 1 and row["seconds_per_frame"] > 0 for row in numbers["labels"])
    assert set(numbers["means"]) == {"MRI", "CT", "all modalities alike", "all labels alike"}


def test_choosing_no_case_is_an_error(folder, capsys):
    assert accuracy.main([str(folder), "--weights", "none", "--cases", "nothing"]) == 1
    assert "no case" in capsys.readouterr().err


def test_only_chosen_cases_are_measured(folder, capsys):
    assert accuracy.main([str(folder), "--weights", "none", "--cases", "b,c"]) == 0
    assert "organ 3" not in capsys.readouterr().out
