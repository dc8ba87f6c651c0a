from __future__ import annotations

import pytest
import torch

from imos_engine.network.aggregation import aggregate


def random_probabilities(objects: int = 3) -> torch.Tensor:
    return torch.rand(2, objects, 5, 6, generator=torch.Generator().manual_seed(0))


def test_aggregation_shares_a_pixel_in_proportion_to_the_odds():
    independent = random_probabilities().double()
    background = (1 - independent).prod(1, keepdim=True)
    everything = torch.cat((background, independent), 1)
    odds = everything / (1 - everything)
    torch.testing.assert_close(aggregate(independent)[1].double(), odds / odds.sum(1, keepdim=True), atol=1e-5, rtol=0)


def test_aggregated_probabilities_are_the_softmax_of_the_logits_and_sum_to_1():
    logits, probabilities = aggregate(random_probabilities())
    torch.testing.assert_close(logits.softmax(1), probabilities)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 5, 6))


def test_aggregation_treats_all_objects_alike():
    independent, order = random_probabilities(4), [3, 1, 0, 2]
    expected = aggregate(independent)[1][:, [0, 4, 2, 1, 3]]
    torch.testing.assert_close(aggregate(independent[:, order])[1], expected)


def test_an_object_that_is_nowhere_takes_nothing_from_the_others():
    independent = random_probabilities(2)
    joined = torch.cat((independent, torch.zeros(2, 1, 5, 6)), dim=1)
    torch.testing.assert_close(aggregate(joined)[1][:, :3], aggregate(independent)[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_certain_masks_stay_certain_and_finite_in_every_precision(dtype):
    certain = torch.zeros(1, 2, 1, 3, dtype=dtype)
    certain[0, 0, 0, 1] = certain[0, 1, 0, 2] = 1
    logits, probabilities = aggregate(certain)
    assert logits.isfinite().all()
    torch.testing.assert_close(probabilities[0, :, 0], torch.eye(3), atol=1e-5, rtol=0)
