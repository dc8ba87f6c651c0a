from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from imos_engine.metrics import dice
from imos_engine.prompts import SlicePrompts, segment_slice
from tests.engine.prompts.marked import CLICKS, IMAGE, INVALID, ORGAN, OTHER, PROMPTS, SHAPE
from tests.engine.prompts.slices import ellipse, slice_with_organs, stroke


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_a_few_marks_give_the_organ_and_not_its_twin(kind, colour):
    image, organ, other = slice_with_organs(SHAPE, colour=colour)
    mask = segment_slice(image, PROMPTS[kind])
    assert mask.dtype == bool
    assert mask.shape == SHAPE
    assert dice(mask, organ) > 0.9
    assert not (mask & other).any()


@pytest.mark.parametrize("kind", PROMPTS)
def test_marks_are_obeyed_to_the_pixel(kind):
    prompts = PROMPTS[kind]
    mask = segment_slice(IMAGE, prompts)
    assert all(mask[point] for point in prompts.foreground)
    assert not any(mask[point] for point in prompts.background)
    if prompts.scribbles_foreground is not None:
        assert mask[prompts.scribbles_foreground].all()
    if prompts.scribbles_background is not None:
        assert not mask[prompts.scribbles_background].any()
    if prompts.box is not None:
        top, left, bottom, right = prompts.box
        assert not np.delete(np.delete(mask, np.s_[top : bottom + 1], 0), np.s_[:], 1).any()
        assert mask[top : bottom + 1, left : right + 1].sum() == mask.sum()


@pytest.mark.parametrize("kind", PROMPTS)
def test_brightness_contrast_and_number_type_of_the_image_change_nothing_much(kind):
    mask = segment_slice(IMAGE, PROMPTS[kind])
    assert dice(segment_slice(-5 * IMAGE + 300, PROMPTS[kind]), mask) > 0.97
    assert dice(segment_slice((20 * IMAGE).astype(np.int16), PROMPTS[kind]), mask) > 0.97


@pytest.mark.parametrize("kind", ["three strokes", "three clicks"])
def test_a_transposed_slice_gives_the_transposed_mask(kind):
    prompts = PROMPTS[kind]
    turned = SlicePrompts(
        foreground=[(column, row) for row, column in prompts.foreground],
        scribbles_foreground=None if prompts.scribbles_foreground is None else prompts.scribbles_foreground.T,
    )
    assert dice(segment_slice(IMAGE.T, turned).T, segment_slice(IMAGE, prompts)) > 0.97


def test_the_same_marks_give_the_same_mask():
    first, second = (segment_slice(IMAGE, PROMPTS["three clicks"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_background_mark_separates_what_touches():
    image, organ, _ = slice_with_organs(SHAPE)
    twin = ellipse(SHAPE, (70, 116), (32, 24))
    image = np.where(ndimage.binary_erosion(twin), image.max() * 0.8, image)
    joined = organ | twin
    flat = np.where(joined, 160.0, 100.0) + np.random.default_rng(1).normal(0, 5, SHAPE)
    mask = segment_slice(flat, SlicePrompts(foreground=[(60, 70), (80, 70)], background=[(60, 116), (80, 116)]))
    assert dice(mask, organ) > 0.85
    assert (mask & twin & ~organ).sum() < 0.15 * twin.sum()


def test_a_previous_mask_alone_comes_back_as_it_is():
    np.testing.assert_array_equal(segment_slice(IMAGE, SlicePrompts(mask=ORGAN)), ORGAN)


def test_a_foreground_mark_outside_the_previous_mask_adds_the_organ_there():
    mask = segment_slice(IMAGE, SlicePrompts(mask=ORGAN, foreground=[(80, 130), (90, 140), (75, 140)]))
    assert dice(mask, ORGAN | OTHER) > 0.9
    assert mask[ORGAN].all()


def test_a_background_mark_inside_the_previous_mask_takes_the_wrong_part_away():
    prompts = SlicePrompts(mask=ORGAN | OTHER, scribbles_background=stroke(SHAPE, (75, 125), (95, 145)))
    mask = segment_slice(IMAGE, prompts)
    assert dice(mask, ORGAN) > 0.9


def test_a_background_click_beside_the_previous_mask_leaves_it_alone():
    np.testing.assert_array_equal(segment_slice(IMAGE, SlicePrompts(mask=ORGAN, background=[(70, 110)])), ORGAN)


@pytest.mark.parametrize("shape", [(512, 512), (40, 44), (24, 300)])
@pytest.mark.parametrize("kind", ["strokes", "clicks", "box"])
def test_slices_of_any_size_are_segmented(shape, kind):
    image, organ, _ = slice_with_organs(shape)
    rows, columns = np.nonzero(organ)
    inside = np.argwhere(ndimage.binary_erosion(organ, iterations=2))
    inside = inside[inside[:, int(np.argmax(shape))].argsort(kind="stable")]  # marks spread along the longer side
    points = [tuple(map(int, inside[len(inside) * part // 10])) for part in (2, 5, 8)]
    prompts = {
        "strokes": SlicePrompts(scribbles_foreground=stroke(shape, points[0], points[2]) & organ),
        "clicks": SlicePrompts(foreground=points),
        "box": SlicePrompts(box=(rows.min(), columns.min(), rows.max(), columns.max())),
    }[kind]
    assert dice(segment_slice(image, prompts), organ) > (0.9 if min(shape) > 100 else 0.65)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_image_without_contrast_gives_a_mask_around_the_marks(value):
    mask = segment_slice(np.full(SHAPE, value), PROMPTS["three clicks"])
    assert all(mask[click] for click in CLICKS)
    assert 0 < mask.mean() < 0.5


def test_a_few_pixels_that_are_no_numbers_do_not_matter():
    image = IMAGE.copy()
    image[::40, ::40] = np.nan
    assert dice(segment_slice(image, PROMPTS["three strokes"]), ORGAN) > 0.9


@pytest.mark.parametrize("corner", [(0, 0), (159, 199)])
def test_a_click_in_a_corner_is_no_special_case(corner):
    assert segment_slice(IMAGE, SlicePrompts(foreground=[corner]))[corner]


@pytest.mark.parametrize("case", INVALID)
def test_marks_that_mean_nothing_are_refused_with_a_sentence(case):
    prompts, reason = INVALID[case]
    with pytest.raises(ValueError, match=reason):
        segment_slice(IMAGE, prompts)


@pytest.mark.parametrize("shape", [(4,), (5, 6, 7), (5, 6, 2), (0, 6)])
def test_what_is_no_slice_is_refused(shape):
    with pytest.raises(ValueError, match="slice"):
        segment_slice(np.zeros(shape), replace(PROMPTS["three clicks"]))
