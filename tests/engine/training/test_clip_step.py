import random
from dataclasses import replace

import pytest
import torch

from imos_engine.config import RefinerConfig
from imos_engine.network import ImosNetwork
from imos_engine.training.clip_step import ClipConditions, clip_loss, follow_clip, random_plan, regular_plan
from imos_engine.training.clips import collate
from imos_engine.training.recipe import Trainable

from .conftest import TINY, MovingSquares

REFINED = replace(TINY, refiner=RefinerConfig(channels=(8, 8, 8)))


@pytest.fixture(params=[TINY, REFINED], ids=["coarse", "refined"])
def network(request):
    torch.manual_seed(0)
    return ImosNetwork(request.param)


@pytest.fixture
def refined_network():
    torch.manual_seed(0)
    return ImosNetwork(REFINED)


def batch_of(*indices, frames=4):
    source = MovingSquares(frames=frames, size=48, seed=0)
    return collate([source.clip(index) for index in indices])


@pytest.mark.parametrize("seed", range(5))
def test_every_frame_reads_the_seed_and_only_earlier_frames(seed):
    plan = random_plan(8, 3, 0.2, random.Random(seed))
    for index, read in enumerate(plan.references[1:], start=1):
        assert read[0] == 0
        assert len(read) == len(set(read)) == min(index, 3)
        assert max(read) < index


def test_deep_updates_never_fall_on_the_seed_and_cost_nothing_on_the_last_frame():
    plan = random_plan(5, 1, 1.0, random.Random(0))
    assert plan.deep_updates == {1, 2, 3, 4}
    assert plan.memory_frames == {0, 1, 2, 3}


def test_a_regular_plan_remembers_every_nth_frame():
    plan = regular_plan(7, 3)
    assert list(plan.references) == [[], [0], [0], [0], [0, 3], [0, 3], [0, 3]]


def test_values_are_encoded_only_for_frames_that_are_used(network, monkeypatch):
    batch, encoded = batch_of(0, frames=6), []
    original = network.encode_values

    def counted(*arguments, **options):
        encoded.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(network, "encode_values", counted)
    follow_clip(network, batch, ClipConditions(plan=regular_plan(6, 4), top_k=30))
    assert len(encoded) == 2  # frames 0 and 4


def test_a_padded_object_changes_no_prediction_of_the_others(network):
    network.eval()
    alone, both = batch_of(0), batch_of(0, 1)
    conditions = ClipConditions(plan=regular_plan(4, 2), top_k=30)
    expected, found = follow_clip(network, alone, conditions), follow_clip(network, both, conditions)
    for one, other in zip(expected.logits, found.logits, strict=True):
        torch.testing.assert_close(other[:1, :2].softmax(1), one.softmax(1), rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient(network):
    batch = batch_of(0, 1)
    conditions = ClipConditions(plan=random_plan(4, 2, 0.5, random.Random(3)), top_k=None)
    loss, followed = clip_loss(network, batch, conditions)
    loss.backward()
    assert [tuple(frame.shape) for frame in followed.logits] == [(2, 3, 48, 48)] * 3
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_thirty_steps_on_one_easy_clip_lower_the_loss(network):
    batch = batch_of(0, 1, frames=3)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss, _ = clip_loss(network, batch, ClipConditions(plan=regular_plan(3, 1), top_k=30))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]


def test_a_refiner_alone_learns_without_moving_the_rest(refined_network):
    for name, parameter in refined_network.named_parameters():
        parameter.requires_grad_(Trainable.REFINER.covers(name))
    batch = batch_of(0)
    loss, _ = clip_loss(refined_network, batch, ClipConditions(plan=regular_plan(4, 2), top_k=30))
    loss.backward()
    moved = {name.split(".")[0] for name, parameter in refined_network.named_parameters() if parameter.grad is not None}
    assert moved == {"refiner"}


def test_an_object_that_has_left_is_learned_to_be_absent(refined_network):
    batch = batch_of(0)
    batch.masks[:, 1:] = 0
    optimizer = torch.optim.AdamW(refined_network.parameters(), lr=3e-3)
    conditions = ClipConditions(plan=regular_plan(4, 2), top_k=30)
    before = follow_clip(refined_network, batch, conditions).presence[-1]
    for _ in range(15):
        loss, _ = clip_loss(refined_network, batch, conditions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = follow_clip(refined_network, batch, conditions).presence[-1]
    assert bool((after < before - 0.5).all())
