import copy
from dataclasses import replace

import pytest
import torch

from imos_engine.config import RefinerConfig
from imos_engine.network.aggregation import aggregate
from imos_engine.training.accepted.clip_source import AcceptedClips
from imos_engine.training.accepted.clip_store import store_volume
from imos_engine.training.clip_step import ClipConditions, clip_loss, kept_clip_loss, regular_plan
from imos_engine.training.clips import collate
from imos_engine.training.losses import kept_loss, without_padding
from tests.engine.narrow import NARROW, narrow_network
from tests.engine.training.accepted.made import ball_volume

REFINED = replace(NARROW, refiner=RefinerConfig(channels=(8, 16)))
CONDITIONS = ClipConditions(plan=regular_plan(3, 2), top_k=None)


def answers(seed):
    logits, _ = aggregate(torch.randn(2, 2, 6, 5, generator=torch.Generator().manual_seed(seed)).sigmoid())
    return logits


def test_an_answer_costs_what_its_probabilities_diverge_from_the_former_one():
    former, now = answers(0), answers(1)
    p, q = former.softmax(1), now.softmax(1)
    everywhere = torch.ones(2, 2, dtype=torch.bool)
    expected = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(kept_loss(now, former, everywhere), expected)
    assert kept_loss(former, former, everywhere).item() == pytest.approx(0, abs=1e-6)


def test_padding_costs_nothing():
    former, now = answers(0), answers(1)
    valid = torch.tensor([[True, False], [True, False]])
    alone = kept_loss(without_padding(now, valid)[:, :2], without_padding(former, valid)[:, :2], valid[:, :1])
    torch.testing.assert_close(kept_loss(without_padding(now, valid), without_padding(former, valid), valid), alone)


def gradient(loss, network):
    network.zero_grad()
    loss.backward()
    return sum(float(one.grad.abs().sum()) for one in network.parameters() if one.grad is not None)


def known_batch():
    source = AcceptedClips((), frames=3, size=32, seed=0, replay=1.0)
    return collate([source.clip(index) for index in range(2)])


def test_a_network_that_answers_as_before_is_not_moved_though_truth_would_move_it():
    network = narrow_network(REFINED)
    former, batch = copy.deepcopy(network), known_batch()
    assert batch.known
    kept, _ = kept_clip_loss(network, former, batch, CONDITIONS)
    still = gradient(kept, network)
    truth, _ = clip_loss(network, batch, CONDITIONS)
    assert still < 1e-3 * gradient(truth, network)
    with torch.no_grad():
        network.refiner.correction.bias.add_(1.0)
    kept, _ = kept_clip_loss(network, former, batch, CONDITIONS)
    assert gradient(kept, network) > 100 * still


def test_clips_of_a_batch_are_all_known_or_all_new(tmp_path):
    store_volume(ball_volume(0), tmp_path / "0")
    source = AcceptedClips((tmp_path / "0",), frames=2, size=32, seed=0, replay=0.5, together=3)
    known = [source.clip(index).known for index in range(36)]
    groups = {tuple(known[first : first + 3]) for first in range(0, 36, 3)}
    assert groups == {(True, True, True), (False, False, False)}
