from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import accuracy
from benchmarks.cases import measurable_labels, read_case
from benchmarks.methods import TRAINING_FREE
from benchmarks.protocols import Measurement, RoundsMeasurement
from benchmarks.report_file import read_baselines
from benchmarks.summary import LABELS_ALIKE, MODALITIES_ALIKE, ours_above_best, summary
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


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "narrow.safetensors"
    save_network(path, narrow_network())
    return ["--weights", str(path), "--size", "48", "--device", "cpu"]


def measurement(**values):
    fixed = {"case": "a", "label": "x", "given": "mask", "seed_frame": 0, "leak": 0.0, "seconds_per_frame": 0.1}
    jf = values.pop("jf")
    return Measurement(**fixed | {"j": jf, "f": jf, "jf": jf, "dice": jf} | values)


RESULTS = [
    measurement(modality=modality, label=label, method=method, jf=score)
    for modality, label, scores in (
        ("CT", "1", {"ours": 0.9, "repeat": 0.5, "flow": 0.6}),
        ("CT", "2", {"ours": 0.7, "repeat": 0.5, "flow": 0.8}),
        ("MRI", "3", {"ours": 0.4, "repeat": 0.5, "flow": 0.3}),
    )
    for method, score in scores.items()
]


def test_every_modality_weighs_the_same_in_the_overall_mean(folder):
    cases = [read_case(folder / name) for name in "abc"]
    methods = {"repeat": TRAINING_FREE["repeat"]}
    results = [one for case in cases for one in accuracy.measure_case(case, measurable_labels(case)[0], methods)]
    means = summary(results)
    scores = {name: [one.jf for one in results if one.modality == name] for name in ("MRI", "CT")}
    assert len(scores["MRI"]) == 3
    assert means["MRI"]["repeat"]["jf"] == pytest.approx(np.mean(scores["MRI"]))
    overall = (np.mean(scores["MRI"]) + np.mean(scores["CT"])) / 2
    assert means[MODALITIES_ALIKE]["repeat"]["jf"] == pytest.approx(overall)
    assert means[LABELS_ALIKE]["repeat"]["jf"] == pytest.approx(np.mean(scores["MRI"] + scores["CT"]))


def test_ours_is_held_against_the_method_that_is_best_in_each_row():
    ct, mri, overall = ours_above_best(RESULTS)
    assert (ct.row, ct.second_name, mri.row, mri.second_name) == ("CT", "flow", "MRI", "repeat")
    assert (ct.difference, mri.difference) == pytest.approx((0.1, -0.1))
    assert (overall.row, overall.second_name) == (MODALITIES_ALIKE, "flow") or overall.second_name == "repeat"
    best = max((0.5 + 0.5) / 2, (0.7 + 0.3) / 2)
    assert overall.difference == pytest.approx((0.8 + 0.4) / 2 - best)
    assert np.isnan(mri.low)
    assert ct.low == pytest.approx(-0.1)
    assert ct.high == pytest.approx(0.3)


def test_without_a_rival_there_is_no_difference():
    assert ours_above_best([one for one in RESULTS if one.method == "ours"]) == []
    assert ours_above_best([one for one in RESULTS if one.method != "ours"]) == []


def test_strokes_are_held_against_the_mask_of_the_same_label():
    from_mask = [one for one in RESULTS if one.method == "ours"]
    from_strokes = [replace(one, given="3 strokes (classical)", jf=one.jf - 0.1 * int(one.label)) for one in from_mask]
    lost = accuracy.lost_by_strokes(from_mask + from_strokes)["ours"]
    assert {one.row: one.difference for one in lost} == pytest.approx(
        {"CT": -0.15, "MRI": -0.3, MODALITIES_ALIKE: -0.225}
    )


def test_the_command_prints_every_label_of_every_method_and_writes_every_number(folder, weights, tmp_path, capsys):
    report, plots = tmp_path / "report.json", tmp_path / "plots"
    threads = torch.get_num_threads()
    arguments = [str(folder), *weights, "--json", str(report), "--plots", str(plots)]
    assert accuracy.main(arguments) == 0
    assert torch.get_num_threads() == threads
    printed = capsys.readouterr().out
    assert len(re.findall(r"^[abc]: organ \d +ours", printed, re.MULTILINE)) == 4
    assert "ours minus the best training-free method" in printed
    numbers = json.loads(report.read_text())
    rows = numbers["results"]
    assert [row["case"] for row in rows if row["method"] == "ours"] == ["a", "a", "b", "c"]
    assert {row["method"] for row in rows} == {"ours", *TRAINING_FREE}
    assert all(0 <= row["jf"] <= 1 and row["seconds_per_frame"] > 0 for row in rows)
    assert set(numbers["means"]["mask"]) == {"MRI", "CT", MODALITIES_ALIKE, LABELS_ALIKE}
    for name in ("comparison.png", "gallery.png"):
        assert (plots / name).read_bytes().startswith(b"\x89PNG")


def test_baselines_come_from_a_file_and_ours_is_measured_anew(folder, weights, tmp_path, monkeypatch):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    chosen = ["--methods", "ours,flow", *weights]
    assert accuracy.main([str(folder), *chosen, "--json", str(first)]) == 0
    report = json.loads(first.read_text())
    for row in report["results"]:
        row["j"] = 0.123
    first.write_text(json.dumps(report))
    monkeypatch.setitem(TRAINING_FREE, "flow", None)  # calling it would fail
    assert accuracy.main([str(folder), *chosen, "--json", str(second), "--baselines-from", str(first)]) == 0
    rows = json.loads(second.read_text())["results"]
    assert all((row["j"] == 0.123) == (row["method"] == "flow") for row in rows)


def test_a_report_of_another_protocol_is_refused(folder, tmp_path):
    report = tmp_path / "report.json"
    assert accuracy.main([str(folder), "--methods", "repeat", "--json", str(report)]) == 0
    assert len(read_baselines(report, Measurement)) == 4
    with pytest.raises(ValueError, match="no results of this protocol"):
        read_baselines(report, RoundsMeasurement)
    report.write_text("[]")
    with pytest.raises(ValueError, match="no report"):
        read_baselines(report, Measurement)


def test_the_rounds_protocol_prints_dice_after_every_round(folder, tmp_path, capsys):
    arguments = [str(folder), "--protocol", "rounds", "--methods", "repeat,flow", "--plots", str(tmp_path)]
    assert accuracy.main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"after {count}" in printed for count in range(1, 6))
    after = [float(value) for value in re.search(rf"^{MODALITIES_ALIKE} +repeat(.*) \[", printed, re.M)[1].split()[:6]]
    assert after[5] == pytest.approx(np.mean(after[:5]), abs=0.001)
    assert after[4] > after[0]
    assert (tmp_path / "rounds.png").exists()


def test_the_scribbles_protocol_prints_what_is_lost(folder, capsys):
    arguments = [str(folder), "--protocol", "scribbles", "--methods", "repeat", "--prompt-weights", "none"]
    assert accuracy.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "from 3 strokes (classical)" in printed
    assert "repeat: J&F from 3 strokes minus J&F from the mask" in printed


def test_choosing_no_case_is_an_error(folder, capsys):
    assert accuracy.main([str(folder), "--methods", "repeat", "--cases", "nothing"]) == 1
    assert "no case" in capsys.readouterr().err


def test_a_method_that_does_not_exist_is_refused_by_name(folder, capsys):
    with pytest.raises(SystemExit):
        accuracy.main([str(folder), "--methods", "ours,magic"])
    assert "no method 'magic'" in capsys.readouterr().err


def test_only_chosen_cases_and_labels_are_measured(folder, capsys):
    assert accuracy.main([str(folder), "--methods", "repeat", "--cases", "a,b", "--labels-per-case", "1"]) == 0
    printed = capsys.readouterr().out
    assert "organ 3" not in printed
    assert "CT" not in printed
