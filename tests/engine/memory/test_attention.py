from __future__ import annotations

import pytest
import torch

from imos_engine.memory.attention import (
    SparseAffinity,
    affinity,
    gather_memory,
    memory_side,
    query_side,
    read_memory,
    similarity,
    top_k_affinity,
)

B, K, N, P, CK, CV = 2, 3, 40, 25, 8, 6


def random_keys(seed: int = 0):
    random = torch.Generator().manual_seed(seed)
    memory_key = torch.randn(B, CK, N, generator=random)
    shrinkage = 1 + torch.rand(B, 1, N, generator=random)
    query_key = torch.randn(B, CK, P, generator=random)
    return memory_key, shrinkage, query_key, torch.rand(B, CK, P, generator=random)


def random_values(seed: int = 1) -> torch.Tensor:
    return torch.randn(B, K, CV, N, generator=torch.Generator().manual_seed(seed))


def test_similarity_matches_its_definition():
    memory_key, shrinkage, query_key, selection = random_keys()
    difference = memory_key[..., :, None] - query_key[..., None, :]
    expected = -(selection[..., None, :] * difference**2).sum(1) * shrinkage.mT / CK**0.5
    torch.testing.assert_close(similarity(memory_key, shrinkage, query_key, selection), expected, atol=1e-5, rtol=1e-5)


def test_similarity_is_at_most_0_and_0_for_a_pixel_with_itself():
    memory_key, shrinkage, _, _ = random_keys()
    selection = torch.rand(B, CK, N)
    scores = similarity(memory_key, shrinkage, memory_key, selection)
    assert scores.max() < 1e-5
    torch.testing.assert_close(scores.diagonal(dim1=1, dim2=2), torch.zeros(B, N), atol=1e-5, rtol=0)


def test_a_query_is_closest_to_its_own_key():
    memory_key, shrinkage, _, _ = random_keys()
    selection = 0.1 + torch.rand(B, CK, N, generator=torch.Generator().manual_seed(2))
    closest = similarity(memory_key, shrinkage, memory_key, selection).argmax(1)
    assert torch.equal(closest, torch.arange(N).expand(B, -1))


def test_key_channels_that_a_query_does_not_select_do_not_matter():
    memory_key, shrinkage, query_key, selection = random_keys()
    selection[:, 3] = 0
    changed = memory_key.clone()
    changed[:, 3] += 100
    torch.testing.assert_close(
        similarity(changed, shrinkage, query_key, selection),
        similarity(memory_key, shrinkage, query_key, selection),
        atol=1e-4,
        rtol=1e-4,
    )


def test_both_sides_of_the_similarity_can_be_made_apart():
    memory_key, shrinkage, query_key, selection = random_keys()
    scores = memory_side(memory_key, shrinkage).mT @ query_side(query_key, selection)
    assert torch.equal(scores, similarity(memory_key, shrinkage, query_key, selection))


@pytest.mark.parametrize("top_k", [1, 5, N, N + 1, None])
def test_the_weights_of_each_query_sum_to_1_over_at_most_k_memory_pixels(top_k):
    scores = similarity(*random_keys())
    weights = affinity(scores, top_k=top_k)
    torch.testing.assert_close(weights.sum(1), torch.ones(B, P))
    assert (weights > 0).sum(1).max() <= min(top_k or N, N)


def test_the_weights_are_the_softmax_over_the_k_best_pixels():
    scores = similarity(*random_keys())[0, :, 0]
    best = sorted(range(N), key=lambda row: -float(scores[row]))[:5]
    exponentials = {row: float(scores[row].exp()) for row in best}
    expected = [exponentials.get(row, 0.0) / sum(exponentials.values()) for row in range(N)]
    torch.testing.assert_close(affinity(scores[None, :, None], top_k=5)[0, :, 0], torch.tensor(expected))


@pytest.mark.parametrize("top_k", [None, 5])
def test_a_constant_added_to_all_scores_changes_nothing(top_k):
    scores = similarity(*random_keys())
    torch.testing.assert_close(affinity(scores + 50, top_k=top_k), affinity(scores, top_k=top_k), atol=1e-4, rtol=0)


@pytest.mark.parametrize("top_k", [None, 5])
def test_a_query_far_from_every_memory_pixel_still_gets_finite_weights(top_k):
    scores = similarity(*random_keys()) - 1000
    weights = affinity(scores, top_k=top_k)
    torch.testing.assert_close(weights.sum(1), torch.ones(B, P))
    sparse = top_k_affinity(scores.mT, top_k=top_k)
    torch.testing.assert_close(sparse.weights.sum(-1), torch.ones(B, P))


@pytest.mark.parametrize("top_k", [None, 5])
def test_the_order_of_memory_does_not_matter(top_k):
    memory_key, shrinkage, query_key, selection = random_keys()
    values, order = random_values(), torch.randperm(N, generator=torch.Generator().manual_seed(3))
    once = read_memory(affinity(similarity(memory_key, shrinkage, query_key, selection), top_k=top_k), values)
    scores = similarity(memory_key[..., order], shrinkage[..., order], query_key, selection)
    torch.testing.assert_close(read_memory(affinity(scores, top_k=top_k), values[..., order]), once)


@pytest.mark.parametrize("top_k", [None, 1, 7, N + 5])
def test_gathering_few_values_equals_the_dense_product(top_k):
    scores, values = similarity(*random_keys()), random_values()
    dense = read_memory(affinity(scores, top_k=top_k), values)
    for batch in range(B):
        sparse = top_k_affinity(scores[batch].mT, top_k=top_k)
        gathered = gather_memory(sparse, values[batch].permute(2, 0, 1).flatten(1))
        torch.testing.assert_close(gathered.mT.unflatten(0, (K, CV)), dense[batch], atol=1e-5, rtol=1e-5)


def test_what_all_of_memory_agrees_on_is_read_unchanged():
    values = random_values()[..., :1].expand(-1, -1, -1, N)
    readout = read_memory(affinity(similarity(*random_keys()), top_k=5), values)
    torch.testing.assert_close(readout, values[..., :1].expand(-1, -1, -1, P))


def test_gathering_keeps_the_precision_of_the_values():
    sparse = SparseAffinity(torch.full((4, 2), 0.5), torch.tensor([[0, 1]] * 4))
    rows = torch.ones(3, 5, dtype=torch.bfloat16)
    assert gather_memory(sparse, rows).dtype == torch.bfloat16
