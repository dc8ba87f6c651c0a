import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from imos_engine.adapters import AdapterBank, AdapterError, Card
from imos_engine.adapters.bank import CARD, PUBLISHED, WEIGHTS
from tests.engine.adapters.made import BASE, made_card, made_weights


@pytest.fixture
def bank(tmp_path):
    return AdapterBank(tmp_path / "adapters", base_sha256=BASE)


def add(bank, *, seed=0, name="site", **changes):
    return bank.add(made_card(name, **changes), made_weights(seed=seed))


def test_a_version_comes_back_as_it_was_stored(bank):
    weights = made_weights(parts=("decoder",))
    card = bank.add(made_card(), weights)
    loaded = AdapterBank(bank.folder, base_sha256=BASE).load("site", 1)
    assert loaded.card == card == Card.from_dict(json.loads(json.dumps(card.to_dict())))
    assert loaded.weights.parts == {"decoder"}
    assert loaded.weights.config == weights.config
    assert loaded.weights.tensors.keys() == weights.tensors.keys()
    assert all(torch.equal(loaded.weights.tensors[name], value) for name, value in weights.tensors.items())


def test_versions_count_up_and_a_stored_one_is_not_in_force(bank):
    assert [add(bank, seed=seed).version for seed in range(3)] == [1, 2, 3]
    assert bank.names() == ["site"]
    assert bank.versions("site") == [1, 2, 3]
    assert bank.published("site") is None


def test_publishing_and_rolling_back_walk_the_same_way(bank):
    for seed in range(3):
        add(bank, seed=seed)
    for version in (1, 3, 2):
        bank.publish("site", version)
        assert bank.published("site") == version
    assert [bank.rollback("site") for _ in range(3)] == [3, 1, None]
    assert bank.published("site") is None
    with pytest.raises(AdapterError, match="nothing to go back to"):
        bank.rollback("site")


def test_a_reader_in_another_process_sees_what_is_published_at_once(bank):
    reader = AdapterBank(bank.folder, base_sha256=BASE)
    add(bank)
    assert reader.published("site") is None
    bank.publish("site", 1)
    assert reader.published("site") == 1


def test_weights_of_another_network_are_refused(bank):
    add(bank, base_sha256="b" * 64)
    with pytest.raises(AdapterError, match="made for another network"):
        bank.load("site", 1)
    with pytest.raises(AdapterError, match="made for another network"):
        bank.publish("site", 1)


def half_written(folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def foreign(folder):
    (folder / WEIGHTS).write_bytes(b"something else")


def missing(folder):
    (folder / WEIGHTS).unlink()


def broken_card(folder):
    (folder / CARD).write_text('{"name": "site", ')


def moved(folder):
    shutil.copytree(folder, folder.parent / "2")
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "2", folder)
    values = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**values, "version": 2}))


@pytest.mark.parametrize("fault", [half_written, foreign, missing, broken_card, moved])
def test_a_version_that_is_not_as_it_was_stored_is_refused_with_a_sentence(bank, fault):
    add(bank)
    bank.load("site", 1)  # what was read before must not hide what is there now
    fault(bank.path("site", 1))
    with pytest.raises(AdapterError, match=r"site.*; "):
        bank.load("site", 1)
    with pytest.raises(AdapterError, match="site"):
        bank.publish("site", 1)
    assert bank.published("site") is None


@pytest.mark.parametrize("name", ["..", "Site", "a/b", "", ".hidden", "x" * 65])
def test_a_name_that_could_leave_the_bank_is_refused(bank, name):
    with pytest.raises(AdapterError, match="cannot be named"):
        add(bank, name=name)


def test_a_writer_that_fails_leaves_nothing(bank):
    def fail(folder, card):
        raise RuntimeError("no report")

    with pytest.raises(RuntimeError, match="no report"):
        bank.add(made_card(), made_weights(), write_report=fail)
    assert bank.versions("site") == []
    assert list((bank.folder / "site").iterdir()) == []


def test_what_a_dead_writer_left_is_swept_and_what_a_living_one_writes_is_not(bank):
    home = bank.folder / "site"
    home.mkdir(parents=True)
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive = home / f".new.{int(ended.stdout)}.partial", home / f".new.{os.getppid()}.partial"
    pointer = home / f".{PUBLISHED}.{int(ended.stdout)}.partial"
    dead.mkdir()
    alive.mkdir()
    pointer.touch()
    add(bank)
    assert not dead.exists()
    assert not pointer.exists()
    assert alive.exists()


def test_a_pointer_that_cannot_be_read_is_said_so(bank):
    add(bank)
    (bank.folder / "site" / PUBLISHED).write_text("{")
    with pytest.raises(AdapterError, match="cannot be read"):
        bank.published("site")
