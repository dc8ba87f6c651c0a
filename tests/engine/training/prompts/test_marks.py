from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from imos_engine.training.prompts import damage, marks
from tests.engine.prompts.slices import ellipse

SHAPE = (64, 64)
MASKS = {
    "organ": ellipse(SHAPE, (30, 34), (14, 18)),
    "at the border": ellipse(SHAPE, (2, 60), (12, 9)),
    "thin": ellipse(SHAPE, (30, 30), (25, 1.2)),
    "a few pixels": ellipse(SHAPE, (30, 30), (2, 2)),
    "everything but a corner": ~ellipse(SHAPE, (0, 0), (5, 5)),
}
SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("draw", [marks.clicks, marks.strokes])
def test_marks_stay_inside_what_they_mark(draw, name, seed):
    drawn = draw(MASKS[name], 3, np.random.default_rng(seed))
    assert drawn.any()
    assert not (drawn & ~MASKS[name]).any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_clicks_are_single_pixels(count):
    assert 1 <= np.count_nonzero(marks.clicks(MASKS["organ"], count, np.random.default_rng(0))) <= count


def test_strokes_are_of_very_different_length():
    lengths = [np.count_nonzero(marks.strokes(MASKS["organ"], 1, np.random.default_rng(seed))) for seed in range(40)]
    assert min(lengths) < 25 < 100 < max(lengths)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", MASKS)
def test_the_surroundings_of_a_mask_are_outside_and_its_box_holds_it(name, seed):
    mask, random = MASKS[name], np.random.default_rng(seed)
    assert not (marks.surroundings(mask, random) & mask).any()
    box = marks.box_around(mask, random)
    assert not (mask & ~box).any()
    rows, columns = np.flatnonzero(box.any(axis=1)), np.flatnonzero(box.any(axis=0))
    assert np.count_nonzero(box) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", MASKS)
def test_damage_leaves_something_to_correct_and_nothing_infinite(name, seed):
    mask = MASKS[name]
    guess = damage.blurred_guess(mask, np.random.default_rng(seed))
    assert np.isfinite(guess).all()
    assert guess.min() >= 0
    assert guess.max() <= 1
    wrong = damage.with_wrong_part(mask, np.random.default_rng(seed))
    assert (wrong != mask).any()


def test_a_guess_is_mostly_right():
    mask = MASKS["organ"]
    shares = [np.mean((damage.blurred_guess(mask, np.random.default_rng(s)) > 0.5) == mask) for s in range(20)]
    assert np.mean(shares) > 0.9
    assert min(shares) < 0.99


def test_the_signed_distance_is_positive_inside_and_counts_pixels():
    distance = damage.signed_distance(MASKS["organ"])
    np.testing.assert_array_equal(distance > 0, MASKS["organ"])
    exact = ndimage.distance_transform_edt(MASKS["organ"])
    np.testing.assert_allclose(np.maximum(distance, 0), exact, atol=0.3)
    assert np.isfinite(damage.signed_distance(np.ones(SHAPE, bool))).all()
