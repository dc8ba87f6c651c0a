from __future__ import annotations

import json

import pytest
import torch

from benchmarks import training_curve
from imos_engine.network.checkpoint import save_network
from tests.benchmarks.labelled_folder import disk_volume, write_case
from tests.engine.narrow import narrow_network


@pytest.fixture
def run(tmp_path):
    """The folder of a run with two snapshots and last weights."""
    folder = tmp_path / "run"
    (folder / "snapshots").mkdir(parents=True)
    for steps, name in ((2, "snapshots/step_0000002"), (4, "snapshots/step_0000004"), (5, "weights")):
        spent = {"steps": str(steps), "minutes": str(steps / 2), "frames": str(1000 * steps)}
        network = narrow_network(seed=steps)
        save_network(folder / f"{name}.safetensors", network, metadata=spent, dtype=torch.float16)
    (folder / "log.jsonl").write_text(
        "".join(json.dumps({"step": step, "validation_J": step / 10}) + "\n" for step in (2, 5))
    )
    return folder


def test_the_command_prints_a_row_per_snapshot_and_draws_them(run, tmp_path, capsys):
    write_case(tmp_path / "cases", "a", disk_volume([5, 6, 8, 7, 6, 6], 1))
    assert training_curve.main([str(run), str(tmp_path / "cases"), "--size", "48", "--device", "cpu"]) == 0
    header, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()
    ]
    assert [row[:4] for row in rows] == [
        ["2", "1.0", "0.002", "0.200"],
        ["4", "2.0", "0.004", ""],
        ["5", "2.5", "0.005", "0.500"],
    ]
    assert all(len(row) == len(header) for row in rows)
    assert (run / "training_curve.png").read_bytes().startswith(b"\x89PNG")


def test_every_second_snapshot_and_the_last_weights(run):
    assert [one.steps for one in training_curve.snapshots_of(run, every=2)] == [4, 5]


def test_a_run_without_snapshots_is_answered_with_what_to_do(tmp_path, capsys):
    assert training_curve.main([str(tmp_path), str(tmp_path)]) == 1
    assert "keep_snapshots" in capsys.readouterr().err


def test_weights_of_no_run_are_refused(run):
    save_network(run / "snapshots" / "step_0000009.safetensors", narrow_network())
    with pytest.raises(ValueError, match="no run's snapshot"):
        training_curve.snapshots_of(run)
