import json

import nibabel
import numpy as np
import pytest

from imos_engine.adapters import AdapterBank
from imos_engine.adapters.bank import sha256_of
from imos_engine.cli import main
from imos_engine.network.checkpoint import save_network
from tests.engine.adapters.made import made_card, made_weights
from tests.engine.narrow import narrow_network
from tests.engine.training.accepted.made import ball_volume


@pytest.fixture
def folder(tmp_path):
    save_network(tmp_path / "base.safetensors", narrow_network())
    return tmp_path


@pytest.fixture
def bank(folder):
    base = sha256_of(folder / "base.safetensors")
    bank = AdapterBank(folder / "bank", base_sha256=base)
    for seed in (1, 2):
        metrics = {"overall": {"before": 0.5, "after": 0.5 + seed / 10}}
        weights = made_weights(seed=seed, parts=("decoder",) if seed == 2 else ())  # the second marks everything
        bank.add(made_card(base_sha256=base, metrics=metrics, accepted=True), weights)
    return bank


@pytest.fixture
def imos(folder, bank, capsys):
    def command(*arguments):
        options = ["--bank", str(bank.folder), "--weights", str(folder / "base.safetensors"), "--size", "48"]
        code = main(["adapters", *options, "--precision", "float32", "--device", "cpu", *arguments])
        return code, capsys.readouterr()

    return command


def test_publishing_and_rolling_back_from_the_command_line(imos, bank):
    assert imos("publish", "site/1")[0] == 0
    assert imos("publish", "site/2")[0] == 0
    assert bank.published("site") == 2
    code, said = imos("list")
    assert code == 0
    assert [line[:8] for line in said.out.splitlines()] == ["  site/1", "* site/2"]
    assert "0.500 -> 0.700" in said.out
    assert "site/1 is in force" in imos("rollback", "site")[1].out
    assert bank.published("site") == 1


def test_a_card_is_shown_as_json(imos):
    assert json.loads(imos("show", "site/2")[1].out)["version"] == 2


@pytest.mark.parametrize("arguments", [("publish", "site/9"), ("show", "none"), ("publish", "site"), ("rollback", "x")])
def test_a_version_that_is_not_there_is_said_in_one_line(imos, arguments):
    code, said = imos(*arguments)
    assert code == 1
    assert said.err.startswith("imos adapters: ")
    assert said.err.count("\n") == 1


def test_versions_are_compared_on_one_image_by_one_command(imos, folder):
    volume = ball_volume(0, shape=(48, 48, 5))
    for name, array in (("image", volume.images), ("truth", volume.labels * 7)):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 1, 3, 1])), folder / f"{name}.nii.gz")
    files = ["--image", str(folder / "image.nii.gz"), "--truth", str(folder / "truth.nii.gz")]
    code, said = imos("compare", "site/1", "site/2", *files)
    assert code == 0, said.err
    header, label, mean = (line.split() for line in said.out.splitlines())
    assert header == ["label", "none", "site/1", "site/2"]
    assert label[0] == "7"
    assert label[1:] == mean[1:]
    assert len(set(label[1:])) > 1
