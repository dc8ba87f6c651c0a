import json

import pytest
import torch
from torch import nn

from imos_engine.config import AdapterConfig, Precision
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import load_network
from imos_engine.training import Phase, TrainingConfig, ValidationConfig, train
from imos_engine.training.loop import set_training_mode
from imos_engine.training.recipe import Trainable
from imos_engine.training.run_state import RunState, start_run

from .conftest import TINY, MovingSquares

VALIDATION = ValidationConfig(every=3, clips=2, frames=3, size=32)


def recipe(*phases, **options):
    settings = {"precision": Precision.FLOAT32, "validation": VALIDATION, "workers": 0, "log_every": 1} | options
    return TrainingConfig(phases=phases, **settings)


TWO_PHASES = recipe(
    Phase(steps=2, frames=2, size=32, batch=2), Phase(steps=2, frames=3, size=32, batch=1, accumulate=2)
)


def stop_after(steps):
    asked = []
    return lambda: asked.append(1) or len(asked) >= steps


def run(config, folder, weights, **options):
    return train(config, output_dir=folder, weights=weights, source=MovingSquares, **options)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(tmp_path, tiny_weights, stop):
    whole = load_network(run(TWO_PHASES, tmp_path / "whole", tiny_weights)).state_dict()
    run(TWO_PHASES, tmp_path / "parts", tiny_weights, should_stop=stop_after(stop))
    resumed = load_network(run(TWO_PHASES, tmp_path / "parts", tiny_weights)).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    checkpoints = [torch.load(tmp_path / part / "checkpoint.pt", weights_only=True) for part in ("whole", "parts")]
    assert all(torch.equal(value, checkpoints[1]["network"][name]) for name, value in checkpoints[0]["network"].items())


def test_training_moves_the_weights_and_reports_loss_and_similarity(tmp_path, tiny_weights):
    trained = load_network(run(TWO_PHASES, tmp_path / "run", tiny_weights)).state_dict()
    before = load_network(tiny_weights).state_dict()
    assert any(not torch.equal(before[name], trained[name]) for name in before)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert any("validation_J" in line for line in lines)
    assert any((tmp_path / "run" / "tensorboard").iterdir())


def test_a_phase_in_minutes_ends_on_time_also_after_a_pause(tmp_path, tiny_weights):
    config = recipe(Phase(minutes=5.0, frames=2, size=32, batch=1))
    ticks = iter(range(0, 10_000, 60))  # every look at the clock takes a minute
    run(config, tmp_path, tiny_weights, clock=lambda: next(ticks), should_stop=stop_after(2))
    ticks = iter(range(50_000, 60_000, 60))
    run(config, tmp_path, tiny_weights, clock=lambda: next(ticks))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["position"]["total_steps"] == 5


def test_only_adapters_move_when_only_they_are_trainable(tmp_path, tiny_weights):
    network = load_network(tiny_weights)
    network.attach_adapters(AdapterConfig())
    state = RunState(recipe(Phase(steps=1), trainable=Trainable.ADAPTERS), network, torch.device("cpu"))
    moved = {name for name, parameter in state.network.named_parameters() if parameter.requires_grad}
    assert moved
    assert all(".adapter." in name for name in moved)


def decoder_then_everything(steps):
    return recipe(
        Phase(steps=2, frames=3, size=32, batch=2, trainable=Trainable.DECODER),
        Phase(steps=steps, frames=3, size=32, batch=2),
    )


def test_a_phase_that_trains_the_decoder_leaves_everything_else_as_it_is(tmp_path, tiny_weights):
    run(decoder_then_everything(1), tmp_path, tiny_weights, should_stop=stop_after(2))
    before = load_network(tiny_weights).state_dict()
    after = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["network"]
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} == {"decoder"}


def test_a_later_phase_moves_what_an_earlier_one_left(tmp_path, tiny_weights):
    trained = load_network(run(decoder_then_everything(1), tmp_path, tiny_weights)).state_dict()
    before = load_network(tiny_weights).state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], trained[name])}
    assert moved == {"decoder", "key_encoder", "value_encoder", "key_proj"}


def test_a_run_resumed_within_or_after_a_phase_of_its_own_equals_an_uninterrupted_one(tmp_path, tiny_weights):
    config = decoder_then_everything(2)
    whole = load_network(run(config, tmp_path / "whole", tiny_weights)).state_dict()
    for stop in (1, 3):
        run(config, tmp_path / str(stop), tiny_weights, should_stop=stop_after(stop))
        resumed = load_network(run(config, tmp_path / str(stop), tiny_weights)).state_dict()
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_nothing_is_computed_for_frozen_parameters():
    state = RunState(decoder_then_everything(1), ImosNetwork(TINY), torch.device("cpu"))
    set_training_mode(state.network, freeze_batch_norm=False)
    assert not state.network.encode_frames(torch.zeros(1, 3, 32, 32)).f16.requires_grad
    assert not any(module.training for module in state.network.modules() if isinstance(module, nn.BatchNorm2d))


def test_frozen_statistics_are_those_outside_adapters():
    network = ImosNetwork(TINY)
    network.attach_adapters(AdapterConfig())
    set_training_mode(network, freeze_batch_norm=True)
    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    in_training = {name for name, module in norms.items() if module.training}
    assert in_training == {name for name in norms if ".adapter." in name}


def test_a_checkpoint_of_another_kind_of_run_is_refused(tmp_path, tiny_weights):
    run(TWO_PHASES, tmp_path, tiny_weights, should_stop=stop_after(1))
    other = recipe(*TWO_PHASES.phases, trainable=Trainable.ADAPTERS_AND_DECODER)
    with pytest.raises(ValueError, match="another output folder"):
        run(other, tmp_path, tiny_weights)


def test_a_checkpoint_of_an_older_version_whose_settings_are_gone_is_gone_on_with(tmp_path, tiny_weights):
    run(TWO_PHASES, tmp_path, tiny_weights, should_stop=stop_after(1))
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    checkpoint["config"]["no longer"] = True
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    run(TWO_PHASES, tmp_path, tiny_weights)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["position"]["total_steps"] == 4


def test_two_runs_from_random_weights_begin_alike_and_leave_the_callers_generator_alone(tmp_path):
    config = recipe(Phase(steps=1), seed=3)
    torch.manual_seed(11)
    one = start_run(config, torch.device("cpu"), weights=None).network.state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(11)
    assert torch.equal(drawn, torch.rand(1))
    other = start_run(config, torch.device("cpu"), weights=None).network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
