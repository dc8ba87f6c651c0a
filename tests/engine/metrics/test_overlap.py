from __future__ import annotations

import numpy as np
import pytest

from imos_engine.metrics import dice, leak, region_similarity

NOTHING = np.zeros((4, 5), bool)
EVERYTHING = np.ones((4, 5), bool)


def random_masks(seed: int, shape: tuple[int, ...] = (6, 7)) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.random(shape) < 0.4, generator.random(shape) < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_overlap_matches_its_definition_pixel_by_pixel(seed):
    prediction, truth = random_masks(seed)
    first = {tuple(pixel) for pixel in np.argwhere(prediction)}
    second = {tuple(pixel) for pixel in np.argwhere(truth)}
    assert region_similarity(prediction, truth) == pytest.approx(len(first & second) / len(first | second))
    assert dice(prediction, truth) == pytest.approx(2 * len(first & second) / (len(first) + len(second)))


@pytest.mark.parametrize("score", [region_similarity, dice])
def test_a_mask_agrees_with_itself_and_shares_nothing_with_its_complement(score):
    mask, _ = random_masks(0)
    assert score(mask, mask) == 1
    assert score(mask, ~mask) == 0


@pytest.mark.parametrize("score", [region_similarity, dice])
def test_overlap_does_not_depend_on_the_order_of_the_masks(score):
    prediction, truth = random_masks(1)
    assert score(prediction, truth) == score(truth, prediction)


@pytest.mark.parametrize("score", [region_similarity, dice])
def test_two_empty_masks_agree_and_one_empty_mask_does_not(score):
    assert score(NOTHING, NOTHING) == 1
    assert score(NOTHING, EVERYTHING) == score(EVERYTHING, NOTHING) == 0


@pytest.mark.parametrize("score", [region_similarity, dice])
def test_masks_on_different_grids_are_refused(score):
    with pytest.raises(ValueError, match="grid"):
        score(NOTHING, NOTHING[:-1])


def test_only_frames_beyond_the_true_extent_leak():
    truth = np.zeros((6, 2, 2), bool)
    truth[[2, 4], 0, 0] = True  # frame 3 is a gap inside the extent
    prediction = np.ones((6, 2, 2), bool)
    assert leak(prediction, truth) == (4 * 3) / 2
    prediction[[0, 1, 5]] = False
    assert leak(prediction, truth) == 0


def test_leak_is_unknown_without_truth():
    assert np.isnan(leak(np.ones((3, 2, 2), bool), np.zeros((3, 2, 2), bool)))
