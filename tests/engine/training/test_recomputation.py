import random
from dataclasses import replace

import pytest
import torch

from imos_engine.config import AdapterConfig, RefinerConfig
from imos_engine.training.clip_step import ClipConditions, clip_loss, random_plan
from imos_engine.training.clips import ClipBatches
from imos_engine.training.loop import set_training_mode
from imos_engine.training.recipe import Phase
from imos_engine.training.recomputation import recomputed
from tests.engine.narrow import NARROW, narrow_network

from .conftest import MovingSquares

DRESSED = replace(NARROW, adapter=AdapterConfig(initial_gate=0.5), refiner=RefinerConfig(channels=(8, 16)))
PHASE = Phase(steps=1, frames=3, size=48, batch=2, max_objects=2, reference_frames=2)


def learned(*, enabled, device="cpu", autocast=False, config=DRESSED, phase=PHASE):
    """A network after the backward pass of one batch, as a retraining of adapters does it; and what was kept for it."""
    network = narrow_network(config).to(device)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(".adapter." in name)
    set_training_mode(network, freeze_batch_norm=True)
    batch = ClipBatches(MovingSquares(frames=phase.frames, size=phase.size, seed=0), phase, phase_index=0, seed=0)[0]
    plan = random_plan(phase.frames, phase.reference_frames, 1.0, random.Random(0))
    conditions = ClipConditions(plan=plan, top_k=30, disturbance=lambda flow: flow)
    kept = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one.numel()) or one, lambda one: one),
        torch.autocast(device, torch.bfloat16, enabled=autocast),
        recomputed(network, enabled=enabled),
    ):
        loss, _ = clip_loss(network, batch.to(torch.device(device)), conditions)
    loss.backward()
    return network, sum(kept)


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_and_running_statistics_are_the_same(autocast):
    (plain, much), (again, little) = (learned(enabled=enabled, autocast=autocast) for enabled in (False, True))
    gradients = {name: value.grad for name, value in plain.named_parameters() if value.grad is not None}
    assert gradients
    for name, value in again.named_parameters():
        assert (value.grad is None) == (name not in gradients), name
        if name in gradients:
            torch.testing.assert_close(value.grad, gradients[name], rtol=0, atol=0)
    before = dict(narrow_network(DRESSED).named_buffers())
    for (name, one), (_, other) in zip(plain.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(one, other), name
    assert any(not torch.equal(value, before[name]) for name, value in again.named_buffers())
    assert little < much / 3


def test_afterwards_the_network_is_as_it_was():
    network = narrow_network(DRESSED)
    forwards = {name: module.forward for name, module in network.named_modules()}
    with pytest.raises(KeyError), recomputed(network):
        raise KeyError
    assert forwards == {name: module.forward for name, module in network.named_modules()}
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.gpu
def test_a_gpu_needs_less_memory():
    peaks = []
    for enabled in (False, True):
        torch.cuda.reset_peak_memory_stats()
        learned(enabled=enabled, device="cuda", phase=replace(PHASE, size=256, batch=4))
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < 0.7 * peaks[0]
