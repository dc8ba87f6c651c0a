from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from imos_engine.prompts.view import CHANNELS
from imos_engine.training.prompts.examples import LEAST_PIXELS, PromptExamples, one_piece, random_example, random_window
from tests.engine.prompts.slices import slice_with_organs

FOREGROUND, BACKGROUND = 6, 7
IMAGE, ORGAN, OTHER = slice_with_organs()
COLOUR = np.repeat(IMAGE[..., None], 3, axis=2).astype(np.float32)


def examples(seed=5):
    return PromptExamples(slice_size=64, view=32, batch=6, per_clip=3, seed=seed)


def test_a_batch_depends_on_seed_and_step_alone():
    first, again, other = examples()[4], examples()[4], examples(seed=6)[4]
    for name in ("views", "masks", "counted"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.views, other.views)
    assert not torch.equal(first.views, examples()[5].views)


def test_a_batch_holds_as_many_examples_as_asked_for():
    batch = examples()[0]
    assert batch.views.shape == (6, CHANNELS, 32, 32)
    assert batch.masks.shape == batch.counted.shape == (6, 1, 32, 32)
    assert batch.views.isfinite().all()
    assert set(batch.masks.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("seed", range(25))
def test_the_marks_of_an_example_tell_the_truth(seed):
    example = random_example(COLOUR, ORGAN, 48, np.random.default_rng(seed))
    assert example is not None
    views, truth, counted = example
    assert np.count_nonzero(truth) >= LEAST_PIXELS / 2
    middle = _thinned(views[FOREGROUND] > 0)
    assert (truth & middle).sum() >= 0.9 * middle.sum()
    middle = _thinned(views[BACKGROUND] > 0)
    assert not (truth & middle).any()
    assert not (truth & ~counted).any()


def test_windows_hold_a_part_of_the_object_and_differ_in_size():
    windows = [random_window(ORGAN, np.random.default_rng(seed), tight=False) for seed in range(40)]
    assert all(window.share(ORGAN, 32).any() for window in windows)
    sides = [window.side for window in windows]
    assert max(sides) > 3 * min(sides)
    tight = [random_window(ORGAN, np.random.default_rng(seed), tight=True).side for seed in range(40)]
    assert max(tight) < 2.5 * 66


def test_one_piece_of_several_is_a_whole_piece():
    piece = one_piece(ORGAN | OTHER, np.random.default_rng(0))
    assert np.array_equal(piece, ORGAN) or np.array_equal(piece, OTHER)


def _thinned(widened):
    """The middle of marks that were widened for the network."""
    return ndimage.binary_erosion(widened, iterations=2)
