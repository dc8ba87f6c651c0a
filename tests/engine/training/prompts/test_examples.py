from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from imos_engine.prompts.view import ALLOWED, CHANNELS, KNOWN
from imos_engine.training.prompts.examples import (
    LEAST_PIXELS,
    MOST_PIECES,
    PromptExamples,
    one_piece,
    pieces_of,
    random_example,
    random_object,
    random_window,
)
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


def test_a_random_object_is_one_labelled_piece_or_several_that_do_not_touch():
    labels = np.zeros((40, 40), np.uint8)
    labels[2:10, 2:10], labels[10:14, 2:10], labels[20:30, 20:30], labels[33:39, 2:12] = 1, 2, 1, 3
    present = np.array([1, 2, 3])
    drawn = [random_object(labels, present, np.random.default_rng(seed)) for seed in range(200)]
    counts = {ndimage.label(mask)[1] for mask in drawn}
    assert counts == set(range(1, MOST_PIECES + 1))
    assert not any(mask[9, 5] and mask[10, 5] for mask in drawn)  # 1 and 2 touch: never one object
    whole = [piece for label in present for piece in pieces_of(labels == label)]
    assert all((mask & piece).sum() in (0, piece.sum()) for mask in drawn for piece in whole)


@pytest.mark.parametrize("seed", range(20))
def test_no_piece_of_an_object_is_left_without_a_mark_where_nothing_is_to_be_corrected(seed):
    apart = np.zeros_like(ORGAN)
    apart[5:25, 5:25], apart[60:85, 60:85], apart[60:70, 5:15] = True, True, True
    example = random_example(COLOUR[:96, :96], apart[:96, :96], 48, np.random.default_rng(seed))
    assert example is not None
    views, truth, _ = example
    if not views[KNOWN].any() and views[FOREGROUND].any() and views[ALLOWED].all():
        assert all((views[FOREGROUND] > 0)[piece].any() for piece in pieces_of(truth))


def _thinned(widened):
    """The middle of marks that were widened for the network."""
    return ndimage.binary_erosion(widened, iterations=2)
