from __future__ import annotations

import pytest
import torch

from imos_engine.prompts.comparison import TissueComparison

SIZE, FEATURES = 32, 6


@pytest.fixture
def comparison():
    torch.manual_seed(0)
    return TissueComparison(FEATURES, fold=2).eval()


@pytest.fixture
def picture():
    """Two tissues with some noise, one left and one right."""
    noise = 0.05 * torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return noise + torch.where(torch.arange(SIZE) < SIZE // 2, 0.8, -0.2)


def square(rows, columns):
    tissue = torch.zeros(1, 1, SIZE, SIZE)
    tissue[..., rows, columns] = 1
    return tissue


def test_pixels_like_the_tissue_are_nearer_to_zero_than_others(comparison, picture):
    compared = comparison(picture, square(slice(4, 12), slice(4, 12))).abs().mean(1)[0]
    assert compared[3:13, 2:6].mean() < 0.5 * compared[3:13, 10:14].mean()


def test_what_the_tissue_is_decides_what_is_unlike_it(comparison, picture):
    compared = comparison(picture, square(slice(4, 28), slice(20, 28))).abs().mean(1)[0]
    assert compared[3:13, 2:6].mean() > 2 * compared[3:13, 10:14].mean()


def test_pictures_of_one_batch_are_compared_with_their_own_tissue(comparison, picture):
    pictures = torch.cat((picture, picture.flip(3)))
    tissues = torch.cat((square(slice(4, 12), slice(4, 12)), square(slice(2, 9), slice(3, 30))))
    torch.testing.assert_close(comparison(pictures, tissues)[1:], comparison(pictures[1:], tissues[1:]))


@pytest.mark.parametrize("tissue", [torch.zeros(1, 1, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE)])
def test_no_tissue_and_nothing_else_are_finite_and_limited(comparison, picture, tissue):
    compared = comparison(picture, tissue)
    assert compared.shape == (1, FEATURES, SIZE // 2, SIZE // 2)
    assert compared.isfinite().all()
    assert compared.abs().max() <= 1
