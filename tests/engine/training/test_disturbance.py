"""Disturbed flow: some frames lose it, some get a bent one, most keep theirs."""

import random

import torch

from imos_engine.training.disturbance import BENT, FORGOTTEN, Disturbance


def disturbed(seed: int, clips: int = 1500) -> torch.Tensor:
    return Disturbance(random.Random(seed))(torch.full((clips, 2, 16, 16), 3.0))


def test_the_same_choice_disturbs_alike_and_another_differently():
    assert torch.equal(disturbed(1), disturbed(1))
    assert not torch.equal(disturbed(1), disturbed(2))


def test_most_frames_keep_their_flow_some_lose_it_and_some_are_bent():
    flow = disturbed(0)
    kept = (flow == 3).flatten(1).all(1).float().mean()
    lost = (flow == 0).flatten(1).all(1).float().mean()
    assert abs(float(kept) - (1 - FORGOTTEN - BENT)) < 0.06
    assert abs(float(lost) - FORGOTTEN) < 0.03
    assert abs(float(kept + lost) - (1 - BENT)) < 0.06


def test_bent_flow_is_smooth():
    flow = disturbed(0) - 3
    bent = flow[(flow != 0).flatten(1).all(1) & (flow != -3).flatten(1).all(1)]
    steps = (bent[..., 1:] - bent[..., :-1]).abs().mean()
    assert float(steps) < 0.6 * float(bent.abs().mean())
