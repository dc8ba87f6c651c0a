"""Adapters trained by two processes on the CPU: the way that several GPUs of a server take."""

import json

import pytest
import torch

from imos_engine.config import AdapterConfig, Precision
from imos_engine.network.checkpoint import load_network, save_network
from imos_engine.training import Phase, TrainingConfig, ValidationConfig
from imos_engine.training.journal import LOG_NAME
from imos_engine.training.recipe import Trainable
from imos_engine.training.together import train_together
from tests.engine.narrow import narrow_network

from .noted import NotingSource

STEPS = 3
CPU = torch.device("cpu")


def recipe():
    return TrainingConfig(
        phases=(Phase(steps=STEPS, frames=2, size=32, batch=1, max_objects=1, learning_rate=(1e-2, 1e-2)),),
        trainable=Trainable.ADAPTERS,
        freeze_batch_norm=True,
        precision=Precision.FLOAT32,
        validation=ValidationConfig(every=1000, clips=1, frames=2, size=32),
        workers=0,
        log_every=1,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with what each process ended with, and how often this one was asked whether to stop."""
    folder, asked = tmp_path_factory.mktemp("together"), []
    network = narrow_network()
    network.attach_adapters(AdapterConfig(initial_gate=0.5))
    save_network(folder / "start.safetensors", network)
    train_together(
        recipe(),
        count=2,
        device=CPU,
        output_dir=folder / "run",
        weights=folder / "start.safetensors",
        source=NotingSource(folder),
        should_stop=lambda: bool(asked.append(1)),
    )
    return folder, len(asked)


def test_both_processes_end_with_the_same_adapters_which_have_learned(trained):
    folder, _ = trained
    first, second = (torch.load(folder / f"{rank}.pt") for rank in range(2))
    before = load_network(folder / "start.safetensors").state_dict()
    learned = [name for name, _ in load_network(folder / "start.safetensors").named_parameters() if ".adapter." in name]
    assert learned
    assert all(torch.equal(first[name], second[name]) for name in learned)
    assert any(not torch.equal(first[name], before[name]) for name in learned)
    assert all(torch.equal(first[name], before[name]) for name in before if ".adapter." not in name)


def test_the_process_that_started_them_is_asked_after_every_step_and_gets_the_run(trained):
    folder, asked = trained
    assert asked == STEPS
    lines = [json.loads(line) for line in (folder / "run" / LOG_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert (folder / "run" / "weights.safetensors").is_file()
