from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from imos_engine.memory.attention import similarity
from imos_engine.memory.consolidation import consolidate, forget

from .made import random_elements


def test_prototypes_keep_the_keys_of_the_most_used_candidates():
    candidates = random_elements(20)
    prototypes = consolidate(candidates, prototypes=6)
    most_used = candidates.rate.argsort(descending=True)[:6]
    assert len(prototypes) == 6
    assert {tuple(key.tolist()) for key in prototypes.key} == {tuple(candidates.key[row].tolist()) for row in most_used}


def test_a_much_read_candidate_of_long_life_is_less_used_than_a_newcomer_read_as_much():
    candidates = random_elements(3)
    candidates.usage.copy_(torch.tensor([2.0, 2.0, 0.0]))
    candidates.lifetime.copy_(torch.tensor([100.0, 1.0, 1.0]))
    assert torch.equal(consolidate(candidates, prototypes=1).key, candidates.key[1:2])


def test_prototypes_are_what_their_keys_read_from_all_candidates():
    candidates = random_elements(20)
    prototypes = consolidate(candidates, prototypes=6)
    scores = similarity(candidates.key.mT, candidates.shrinkage.mT, prototypes.key.mT, prototypes.selection.mT)
    for row in range(6):
        weights = scores[:, row].exp() / scores[:, row].exp().sum()
        expected = sum(weight * value for weight, value in zip(weights, candidates.values, strict=True))
        torch.testing.assert_close(prototypes.values[row], expected)
        torch.testing.assert_close(prototypes.shrinkage[row], (weights[:, None] * candidates.shrinkage).sum(0))


def test_prototypes_lie_between_their_candidates():
    candidates = random_elements(30)
    prototypes = consolidate(candidates, prototypes=10)
    for made, given in ((prototypes.values, candidates.values), (prototypes.shrinkage, candidates.shrinkage)):
        assert (made <= given.amax(0) + 1e-5).all()
        assert (made >= given.amin(0) - 1e-5).all()


def test_prototypes_start_a_new_life():
    prototypes = consolidate(random_elements(20), prototypes=6)
    assert not prototypes.usage.any()
    assert (prototypes.lifetime > 0).all()
    assert (prototypes.lifetime < 1e-6).all()


def test_an_object_is_summarised_only_from_candidates_that_know_it():
    everyone = random_elements(20)
    knowing = torch.arange(20) % 2 == 0
    candidates = replace(everyone, valid=torch.stack((torch.ones(20, dtype=torch.bool), knowing), dim=1))
    nonsense = candidates.values.clone()
    nonsense[~knowing, 1] = 1e6
    prototypes = consolidate(replace(candidates, values=nonsense), prototypes=6)
    assert prototypes.valid.all()
    assert prototypes.values[:, 1].abs().max() < 10
    torch.testing.assert_close(prototypes.values[:, 0], consolidate(everyone, prototypes=6).values[:, 0])


def test_an_object_that_no_candidate_knows_stays_unknown():
    candidates = random_elements(20)
    candidates.valid[:, 1] = False
    prototypes = consolidate(candidates, prototypes=6)
    assert prototypes.valid[:, 0].all()
    assert not prototypes.valid[:, 1].any()
    assert prototypes.values.isfinite().all()


def test_values_keep_their_precision():
    candidates = random_elements(20)
    candidates = replace(candidates, values=candidates.values.bfloat16())
    assert consolidate(candidates, prototypes=6).values.dtype == torch.bfloat16


def test_few_candidates_stay_as_they_are():
    candidates = random_elements(5)
    assert consolidate(candidates, prototypes=5) is candidates


@pytest.mark.parametrize("keep", [0, 1, 7, 20, 30])
def test_forgetting_keeps_the_most_used_in_their_old_order(keep):
    elements = random_elements(20)
    kept = forget(elements, keep=keep)
    expected = sorted(sorted(range(20), key=lambda row: -float(elements.rate[row]))[:keep])
    assert torch.equal(kept.key, elements.key[expected])
