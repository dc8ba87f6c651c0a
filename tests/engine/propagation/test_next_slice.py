"""Which frame to annotate next: properties, and the fast sums against their definition."""

import math

import numpy as np
import pytest

from imos_engine.propagation.next_slice import (
    CarriedObject,
    GainConfig,
    distance_to_seeds,
    expected_losses,
    next_frame,
    review_gain,
)

EVEN = GainConfig(share_won=1.0)


def carried(confidence, *, areas=100, given=()):
    """An object on frames 0 to n - 1, by its confidence on each; annotated frames are certain."""
    count = len(confidence)
    areas = [areas] * count if isinstance(areas, int) else areas
    return CarriedObject(
        areas=dict(enumerate(areas)),
        confidence={index: 1.0 if index in given else value for index, value in enumerate(confidence)},
        given=frozenset(given),
    )


def test_between_two_seeds_with_nothing_to_choose_the_middle_is_chosen():
    assert next_frame(carried([0.7] * 11, given=(0, 10))).frame == 5


def test_a_doubtful_stretch_draws_the_suggestion_towards_it():
    doubtful_end = [0.9] * 6 + [0.3] * 5
    middle, drawn = (next_frame(carried(one, given=(0,))).frame for one in ([0.7] * 11, doubtful_end))
    assert drawn > middle


def test_a_large_mask_counts_more_than_a_small_one_in_equal_doubt():
    found = next_frame(carried([0.6] * 11, areas=[10] * 5 + [50] + [400] * 5, given=(5,)))
    assert found.frame > 5
    assert (found.first, found.last) == (6, 10)


def test_one_bad_slice_among_good_ones_is_the_one_to_correct():
    confidence = [0.98] * 21
    confidence[13] = 0.1
    assert next_frame(carried(confidence, given=(0, 20))).frame == 13


def test_frames_beyond_a_seed_are_not_counted_for_the_other_side():
    """The doubt right of the middle seed cannot be won from the left of it."""
    confidence = [0.8] * 10 + [1.0] + [0.1] * 10
    found = next_frame(carried(confidence, given=(10,)))
    assert found.frame > 10
    alone = next_frame(carried([1.0] * 11 + [0.1] * 10, given=(10,)))
    assert (found.frame, found.gain * 20) == (alone.frame, pytest.approx(alone.gain * 20))


@pytest.mark.parametrize("given", [(4,), (0, 9), (2, 6)])
def test_the_gain_is_the_sum_that_it_is_said_to_be(given):
    """By brute force: every frame's loss, times the share of its distance to the seeds that a further seed takes."""
    generator = np.random.default_rng(1)
    areas = [int(area) for area in generator.integers(0, 50, 10)]
    one = carried(list(generator.random(10)), areas=areas, given=given)
    losses = expected_losses(one, fading=EVEN.fading)

    def far(frame, seeds):
        before = max((seed for seed in seeds if seed <= frame), default=-math.inf)
        after = min((seed for seed in seeds if seed >= frame), default=math.inf)
        return 0.0 if frame in seeds else 1 / (1 / (frame - before) + 1 / (after - frame))

    gains = {
        seed: sum(
            losses[frame] * (1 - far(frame, (*given, seed)) / far(frame, given))
            for frame in range(10)
            if frame not in given
        )
        / sum(areas)
        for seed in range(10)
        if seed not in given
    }
    found = next_frame(one, EVEN)
    assert found.frame == max(gains, key=gains.get)
    assert found.gain == pytest.approx(min(1.0, max(gains.values())))


def test_an_empty_frame_counts_by_its_chance_of_not_being_empty():
    areas = [0] * 4 + [80] * 4 + [0] * 4
    losses = expected_losses(carried([0.5] * 12, areas=areas, given=(5,)), fading=2.0)
    np.testing.assert_allclose(losses[[4, 6, 7]], 40)
    np.testing.assert_allclose(losses[[3, 8]], 40 * math.exp(-0.5))
    np.testing.assert_allclose(losses[1], 40 * math.exp(-1.5))  # two frames farther: less likely
    assert losses[5] == 0
    surely_empty = expected_losses(carried([1.0] * 12, areas=areas, given=(5,)), fading=2.0)
    assert surely_empty.sum() == 0


def test_a_seed_counts_double_where_two_are_equally_near():
    np.testing.assert_allclose(distance_to_seeds(np.array([2.0, 5.0]), 0, 10), [1.6, 2.5])
    np.testing.assert_allclose(distance_to_seeds(np.array([2.0, 5.0]), 0, math.inf), [2, 5])


def test_a_better_seed_makes_every_mask_better_that_follows_it():
    config = GainConfig(prompted_dice=0.8)
    assert review_gain(carried([1.0] * 8, given=(3,)), config) == pytest.approx(0.2)
    assert review_gain(carried([0.5] * 8, given=()), config) == pytest.approx(0.1)
    followed = carried([0.9] * 4 + [0.1] * 4, areas=[100] * 4 + [0] * 4)
    assert review_gain(followed, config) == pytest.approx(0.18)  # empty frames follow nothing
    assert review_gain(carried([1.0] * 8, given=(3,)), GainConfig(prompted_dice=1.0)) == 0


def test_with_everything_annotated_or_certain_there_is_nothing_to_suggest():
    assert next_frame(carried([0.5] * 3, given=(0, 1, 2))) is None
    assert next_frame(carried([1.0] * 8, given=(2,))) is None


def test_an_object_that_is_nowhere_may_still_be_looked_for():
    found = next_frame(carried([1.0, 0.6, 0.2, 0.6], areas=0, given=(0,)))
    assert found is not None
    assert 0 < found.gain <= 1


def test_the_gain_shrinks_as_frames_are_annotated():
    confidence, given, gains = [0.6] * 30, [3], []
    for _ in range(6):
        found = next_frame(carried(confidence, given=given))
        assert found.frame not in given
        gains.append(found.gain)
        given.append(found.frame)
    assert gains == sorted(gains, reverse=True)


@pytest.mark.parametrize(
    "wrong", [{"fading": 0}, {"share_won": 0}, {"share_won": 1.1}, {"least": 1}, {"prompted_dice": 2}]
)
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GainConfig(**wrong)
