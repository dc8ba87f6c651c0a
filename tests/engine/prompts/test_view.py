from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imos_engine.prompts.view import ALLOWED, CHANNELS, KNOWN, PREVIOUS, TISSUE, View, view_channels
from tests.engine.prompts.slices import slice_with_organs

SIZE = 96
IMAGE, ORGAN, OTHER = slice_with_organs((SIZE, SIZE))
DIFFERENCE, WAY, FOREGROUND, BACKGROUND = 3, 5, 6, 7


def clicked(*points):
    marks = np.zeros((SIZE, SIZE), dtype=bool)
    for point in points:
        marks[point] = True
    return marks


VIEW = View(
    image=np.repeat(IMAGE[..., None], 3, axis=2).astype(np.float32),
    foreground=clicked((42, 34), (50, 32)),
    background=clicked((42, 48)),
    allowed=np.ones((SIZE, SIZE), dtype=bool),
)
BOX = np.outer(ORGAN.any(axis=1), ORGAN.any(axis=0))
VIEWS = {
    "marks": VIEW,
    "a box": replace(VIEW, foreground=clicked(), background=clicked(), allowed=BOX),
    "a previous mask": replace(VIEW, foreground=clicked(), previous=ORGAN.astype(np.float32)),
    "nothing allowed": replace(VIEW, allowed=np.zeros((SIZE, SIZE), dtype=bool)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_has_finite_channels_of_moderate_size(name):
    channels = view_channels(VIEWS[name])
    assert channels.shape == (CHANNELS, SIZE, SIZE)
    assert channels.dtype == np.float32
    assert np.abs(channels).max() <= 1.5


@pytest.mark.parametrize("name", ["marks", "a box", "a previous mask"])
def test_brightness_and_contrast_of_the_image_change_nothing(name):
    view = VIEWS[name]
    brighter = replace(view, image=20 * view.image - 700)
    np.testing.assert_allclose(view_channels(brighter), view_channels(view), atol=0.01)


@pytest.mark.parametrize("name", ["marks", "a box", "a previous mask"])
def test_the_organ_is_like_the_tissue_and_on_the_way_and_its_twin_is_only_like_it(name):
    channels = view_channels(VIEWS[name])
    away = ~ORGAN & ~OTHER
    assert channels[DIFFERENCE][ORGAN].mean() < 0.4 < channels[DIFFERENCE][away].mean()
    assert channels[DIFFERENCE][OTHER].mean() < 0.4
    assert channels[WAY][ORGAN].mean() < 0.5 < channels[WAY][OTHER].mean()


def test_marks_and_masks_have_their_own_channels():
    channels = view_channels(replace(VIEW, previous=0.25 * OTHER.astype(np.float32)))
    assert channels[FOREGROUND][42, 34] == 1
    assert channels[FOREGROUND][42, 48] == 0
    assert channels[BACKGROUND][42, 48] == 1
    np.testing.assert_array_equal(channels[PREVIOUS] > 0, OTHER)
    assert channels[KNOWN].min() == 1
    assert view_channels(VIEW)[KNOWN].max() == 0
    np.testing.assert_array_equal(view_channels(VIEWS["a box"])[ALLOWED] > 0, BOX)


def test_where_there_are_marks_a_previous_mask_changes_its_own_channels_only():
    alone, with_mask = view_channels(VIEW), view_channels(replace(VIEW, previous=OTHER.astype(np.float32)))
    others = [channel for channel in range(CHANNELS) if channel not in (PREVIOUS, KNOWN)]
    np.testing.assert_array_equal(with_mask[others], alone[others])


def test_the_tissue_is_what_was_marked_else_the_core_of_the_previous_mask_else_the_middle_of_the_box():
    marked, masked, boxed = (view_channels(VIEWS[name])[TISSUE] > 0 for name in ("marks", "a previous mask", "a box"))
    assert marked[42, 34]
    assert not marked[42, 48]
    assert masked.any()
    assert boxed.any()
    assert not (masked & ~ORGAN).any()
    assert not (boxed & ~BOX).any()
    assert marked.sum() < masked.sum()
