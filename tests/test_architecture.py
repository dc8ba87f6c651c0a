"""The arrows of docs/architecture.md, held against this repository and against small trees with one planted fault."""

from pathlib import Path

import pytest

from tests.architecture import long_files, modules, undocumented, wrong_imports, wrong_names

REPOSITORY = Path(__file__).resolve().parent.parent
ENGINE = "apps/imos/imos_engine"
CLEAN = {
    f"{ENGINE}/__init__.py": '"""Engine."""\n',
    f"{ENGINE}/config.py": '"""Settings."""\n',
    f"{ENGINE}/network/__init__.py": '"""Network."""\nfrom imos_engine.config import NetworkConfig\n',
    f"{ENGINE}/memory/__init__.py": '"""Memory."""\nfrom imos_engine import network\nfrom .store import Store\n',
    f"{ENGINE}/memory/store.py": '"""Store."""\nfrom .. import config\n',
    f"{ENGINE}/metrics/__init__.py": '"""Metrics."""\nimport numpy\n',
    f"{ENGINE}/training/__init__.py": '"""Training."""\nimport imos_engine.metrics\nfrom .. import propagation\n',
    f"{ENGINE}/cli.py": '"""Command."""\nfrom imos_engine import prompts, training\n',
    "apps/imos/lib/infers/imos.py": "from imos_engine.propagation import Propagator\nfrom lib.transforms import grid\n",
    "apps/imos/lib/transforms/grid.py": "import monailabel\n",
    "apps/imos/main.py": "from lib.configs.imos import ImosConfig\n",
}
FAULTS = {
    "network uses memory": (f"{ENGINE}/network/block.py", '"""N."""\nfrom imos_engine.memory import Store\n'),
    "network uses memory, relatively": (f"{ENGINE}/network/block.py", '"""N."""\nfrom ..memory.store import Store\n'),
    "network uses memory by name": (f"{ENGINE}/network/block.py", '"""N."""\nfrom imos_engine import memory\n'),
    "memory uses propagation, inside a function": (
        f"{ENGINE}/memory/late.py",
        '"""M."""\ndef read():\n    import imos_engine.propagation.propagator\n',
    ),
    "propagation uses training": (
        f"{ENGINE}/propagation/run.py",
        '"""P."""\nfrom imos_engine.training import losses\n',
    ),
    "propagation uses metrics": (f"{ENGINE}/propagation/run.py", '"""P."""\nfrom imos_engine.metrics import dice\n'),
    "training uses the command line": (f"{ENGINE}/training/loop.py", '"""T."""\nfrom imos_engine import cli\n'),
    "prompts use a layer": (f"{ENGINE}/prompts/points.py", '"""P."""\nfrom imos_engine.network import ImosNetwork\n'),
    "metrics use synthesis": (f"{ENGINE}/metrics/dice.py", '"""M."""\nfrom imos_engine.synthesis import clip\n'),
    "a root module uses a layer": (f"{ENGINE}/sequence.py", '"""S."""\nfrom .network import ImosNetwork\n'),
    "the package itself uses a layer": (f"{ENGINE}/__init__.py", '"""E."""\nfrom .propagation import Propagator\n'),
    "the engine uses the app": (f"{ENGINE}/cli.py", '"""C."""\nfrom lib.infers import imos\n'),
    "the engine uses the host": (f"{ENGINE}/training/loop.py", '"""T."""\nimport monailabel.interfaces\n'),
    "the engine uses fastapi": (f"{ENGINE}/config.py", '"""C."""\nfrom fastapi import FastAPI\n'),
    "infers use trainers": ("apps/imos/lib/infers/imos.py", "from lib.trainers.imos import Trainer\n"),
    "trainers use infers": ("apps/imos/lib/trainers/imos.py", "import lib.infers.imos\n"),
    "transforms use infers": ("apps/imos/lib/transforms/grid.py", "from lib import infers\n"),
}


def plant(root: Path, *extra: tuple[str, str]) -> Path:
    """Write the clean tree below `root`, with the extra files added or put in the place of clean ones."""
    for name, text in {**CLEAN, **dict(extra)}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_every_import_follows_the_arrows():
    assert wrong_imports(REPOSITORY) == []


def test_every_file_has_a_name_that_says_what_is_inside():
    assert wrong_names(REPOSITORY) == []


def test_no_file_is_too_long_to_read():
    assert long_files(REPOSITORY) == []


def test_every_engine_module_says_what_it_is():
    assert undocumented(REPOSITORY) == []


def test_the_checks_look_at_the_whole_engine_and_the_app():
    names = {name for name, _ in modules(REPOSITORY)}
    assert {"imos_engine", "imos_engine.network", "imos_engine.memory", "imos_engine.config"} <= names


def test_a_clean_tree_passes(tmp_path):
    root = plant(tmp_path)
    assert wrong_imports(root) + wrong_names(root) + long_files(root) + undocumented(root) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_one_wrong_import_is_found(tmp_path, fault):
    path, _ = FAULTS[fault]
    found = wrong_imports(plant(tmp_path, FAULTS[fault]))
    assert len(found) == 1
    name = Path(path).relative_to("apps/imos").with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    assert found[0].startswith(name)


@pytest.mark.parametrize(
    "name", ["utils.py", "helpers/masks.py", "common.py", "misc/a.py", "model/weights.py", "logs/a.py"]
)
def test_a_name_that_says_nothing_is_found(tmp_path, name):
    root = plant(tmp_path, (f"{ENGINE}/{name}", '"""A."""\n'))
    assert len(wrong_names(root)) == 1


def test_an_app_folder_made_a_package_is_found(tmp_path):
    assert len(wrong_names(plant(tmp_path, ("apps/imos/__init__.py", "")))) == 1


@pytest.mark.parametrize(("lines", "faults"), [(300, 0), (301, 1)])
def test_a_file_over_the_limit_is_found(tmp_path, lines, faults):
    root = plant(tmp_path, (f"{ENGINE}/network/long.py", '"""L."""\n' + "x = 1\n" * (lines - 1)))
    assert len(long_files(root)) == faults


def test_a_module_without_a_docstring_is_found(tmp_path):
    root = plant(tmp_path, (f"{ENGINE}/network/bare.py", "x = 1\n"))
    assert undocumented(root) == ["imos_engine.network.bare: no module docstring"]
