from __future__ import annotations

import pytest

from benchmarks import ablations
from benchmarks.carry import Setup
from imos_engine.network.checkpoint import save_network
from imos_engine.sequence import Direction
from tests.benchmarks.labelled_folder import disk_volume, write_case
from tests.engine.narrow import narrow_network


def test_every_row_changes_one_thing_and_parts_that_do_not_exist_have_none(monkeypatch):
    monkeypatch.setitem(ablations.SWITCHES, "without magic", ablations.setting(magic=False))
    full = Setup()
    found = ablations.setups(full, tuple(ablations.SWITCHES))
    assert found.pop(ablations.FULL) == full
    assert "without magic" not in found
    for setup in found.values():
        assert sum(getattr(setup, part) != getattr(full, part) for part in ("settings", "memory", "directions")) == 1
    assert found["one direction only"].directions == {Direction.FORWARD}
    assert found["without long-term memory"].memory.max_long_term == 0


def test_the_command_prints_a_row_per_part_and_per_further_weights(tmp_path, capsys):
    write_case(tmp_path, "a", disk_volume([5, 6, 8, 7, 6, 6], 1))
    weights = tmp_path / "narrow.safetensors"
    save_network(weights, narrow_network())
    arguments = [str(tmp_path), "--weights", f"one={weights}", f"two={weights}", "--size", "48", "--device", "cpu"]
    assert ablations.main(arguments) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    cells = {row.split(" | ")[0].strip("| "): row.split(" | ")[1:] for row in rows}
    parts = [name for name in ablations.setups(Setup()) if name != ablations.FULL]
    assert list(cells) == ["one", *(f"one, {name}" for name in parts), "two"]
    assert all(row.count("|") == header.count("|") for row in rows)
    assert cells["one"][:2] == cells["two"][:2]  # J&F of the only modality and overall


def test_only_the_parts_asked_for_are_switched_off_and_unknown_ones_are_refused(tmp_path, capsys):
    assert list(ablations.setups(Setup(), ["without ending early"])) == [ablations.FULL, "without ending early"]
    with pytest.raises(SystemExit):
        ablations.main([str(tmp_path), "--parts", "without ending early, without magic"])
    assert "no part is called 'without magic'" in capsys.readouterr().err


def test_weights_need_a_name_and_a_file(tmp_path, capsys):
    with pytest.raises(SystemExit):
        ablations.main([str(tmp_path), "--weights", "nameless"])
    assert "expected NAME=FILE" in capsys.readouterr().err
