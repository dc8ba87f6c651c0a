from __future__ import annotations

import numpy as np
import pytest

from imos_engine.metrics import boundary_accuracy, dice, largest_frame, leak, region_similarity, score_sequence


def random_sequences(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth on frames 1 to 5 of 8, prediction on frames 2 to 6."""
    generator = np.random.default_rng(seed)
    truth, prediction = generator.random((2, 8, 12, 12)) < 0.5
    truth[[0, 6, 7]] = False
    prediction[[0, 1, 7]] = False
    return prediction, truth


def test_sequence_scores_match_their_definitions():
    prediction, truth = random_sequences(0)
    counted = [1, 2, 4, 5, 6]  # 0 and 7 are empty on both sides, 3 is the seed
    score = score_sequence(prediction, truth, seeds=[3])
    assert score.frames == len(counted)
    assert score.j == pytest.approx(np.mean([region_similarity(prediction[i], truth[i]) for i in counted]))
    assert score.f == pytest.approx(np.mean([boundary_accuracy(prediction[i], truth[i]) for i in counted]))
    assert score.jf == pytest.approx((score.j + score.f) / 2)
    assert score.dice == dice(prediction, truth)
    assert score.leak == leak(prediction, truth)


def test_the_seed_frame_earns_nothing():
    prediction, truth = random_sequences(1)
    prediction[3] = truth[3]
    perfect_seed = score_sequence(prediction, truth, seeds=[3])
    prediction[3] = ~truth[3]
    wrong_seed = score_sequence(prediction, truth, seeds=[3])
    assert (perfect_seed.j, perfect_seed.f) == (wrong_seed.j, wrong_seed.f)


def test_frames_that_are_empty_on_both_sides_change_nothing():
    prediction, truth = random_sequences(2)
    nothing = np.zeros((5, 12, 12), bool)
    longer = score_sequence(np.concatenate([prediction, nothing]), np.concatenate([truth, nothing]), seeds=[3])
    assert longer == score_sequence(prediction, truth, seeds=[3])


def test_a_perfect_prediction_scores_one_and_does_not_leak():
    _, truth = random_sequences(3)
    score = score_sequence(truth, truth, seeds=[3])
    assert (score.j, score.f, score.jf, score.dice, score.leak) == (1, 1, 1, 1, 0)


def test_a_missed_frame_and_a_hallucinated_frame_score_zero():
    truth = np.zeros((3, 12, 12), bool)
    truth[[0, 1], 3:8, 3:8] = True
    prediction = np.zeros_like(truth)
    prediction[[0, 2], 3:8, 3:8] = True
    score = score_sequence(prediction, truth, seeds=[0])
    assert (score.j, score.f, score.frames) == (0, 0, 2)


def test_nothing_to_measure_gives_nan_not_a_score():
    truth = np.zeros((3, 4, 4), bool)
    truth[1, 1:3, 1:3] = True
    score = score_sequence(truth, truth, seeds=[1])
    assert np.isnan(score.j)
    assert np.isnan(score.f)
    assert score.frames == 0


def test_the_largest_frame_is_the_first_of_equals():
    truth = np.zeros((4, 3, 3), bool)
    truth[[1, 3], 0, :2] = True
    truth[2, 0, 0] = True
    assert largest_frame(truth) == 1
