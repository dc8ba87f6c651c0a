from __future__ import annotations

import numpy as np
import pytest

from imos_engine.prompts.window import LEAST_SIDE, Window
from tests.engine.prompts.slices import ellipse

SHAPE = (90, 120)
MASK = ellipse(SHAPE, (40, 60), (20, 25))


@pytest.mark.parametrize("side", [64.0, 80.5, 200.0])
def test_a_mask_survives_the_way_into_a_window_and_back(side):
    window = Window.around(40.3, 60.1, side)
    back = window.restore(window.share(MASK, 96), SHAPE) > 0.5
    assert np.count_nonzero(back ^ MASK) < 0.03 * MASK.sum()


def test_a_window_of_as_many_pixels_as_it_shows_is_a_plain_cut():
    image = np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32)
    window = Window(top=10, left=30, side=32)
    np.testing.assert_allclose(window.image(image, 32), image[10:42, 30:62], atol=1e-5)
    np.testing.assert_array_equal(window.share(MASK, 32) > 0.5, MASK[10:42, 30:62])
    restored = window.restore(np.ones((32, 32), np.float32), SHAPE)
    assert restored[10:42, 30:62].min() == 1
    assert restored.sum() == 32 * 32


@pytest.mark.parametrize("side", [16.0, 50.0, 700.0])
def test_a_single_click_is_seen_in_a_window_of_any_size(side):
    click = np.zeros(SHAPE, dtype=bool)
    click[41, 59] = True
    assert Window.around(40, 60, side).touched(click, 32).any()
    assert not Window.around(900, 900, side).touched(click, 32).any()


def test_a_window_knows_where_the_slice_ends():
    window = Window(top=-10, left=-20, side=40)
    within = window.within(SHAPE, 40)
    assert not within[:10].any()
    assert not within[:, :20].any()
    assert within[10:, 20:].all()
    assert window.share(np.ones(SHAPE, bool), 40)[:9].max() == 0


def test_a_window_has_a_side():
    assert Window.around(3, 3, 0.0).side == LEAST_SIDE
    with pytest.raises(ValueError, match="above 0"):
        Window(top=0, left=0, side=0)
