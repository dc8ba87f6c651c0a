"""The machinery around the network holds for any weights: here for one whose answer is known, and for random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from imos_engine.metrics import dice
from imos_engine.prompts import LearnedPrompts, PromptNetwork, PromptNetworkConfig, SlicePrompts
from imos_engine.prompts.mark_groups import joined_groups, mark_groups
from imos_engine.prompts.slice_prompts import draw_marks
from tests.engine.prompts.marked import IMAGE, INVALID, ORGAN, OTHER, PROMPTS, SHAPE, STROKES
from tests.engine.prompts.slices import ellipse, slice_with_organs

DIFFERENCE, WAY = 3, 5  # channels: how unlike the marked tissue every pixel is, and how far from it


def near_the_marks(views):
    """Logits that follow similar tissue from the marks."""
    foreign = nn.functional.avg_pool2d(views[:, DIFFERENCE : DIFFERENCE + 1], 3, 1, 1) > 0.6
    return 10 * (0.9 - views[:, WAY : WAY + 1]) - 5 * foreign


class NearTheMarks(nn.Module):
    """Belonging to the object is being near the marks, through similar tissue."""

    config = PromptNetworkConfig(view=96)

    def forward(self, views):
        return near_the_marks(views)


class Everything(nn.Module):
    """Every pixel belongs to the object, or none."""

    config = PromptNetworkConfig(view=32)

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, views):
        return torch.full_like(views[:, :1], self.logit)


def random_network():
    torch.manual_seed(3)
    return PromptNetwork(PromptNetworkConfig(view=32, filters=(8, 8, 8)))


NETWORKS = {
    "near": NearTheMarks(),
    "all": Everything(5.0),
    "nothing": Everything(-5.0),
    "unsure": Everything(0.0),
    "random": random_network(),
}


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("network", NETWORKS)
def test_marks_are_obeyed_to_the_pixel_whatever_the_network_says(kind, network):
    prompts = PROMPTS[kind]
    probability = LearnedPrompts(NETWORKS[network])(IMAGE, prompts)
    assert probability.dtype == np.float32
    assert probability.shape == SHAPE
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert all(probability[point] == 1 for point in prompts.foreground)
    assert all(probability[point] == 0 for point in prompts.background)
    if prompts.scribbles_foreground is not None:
        assert (probability[prompts.scribbles_foreground] == 1).all()
    if prompts.scribbles_background is not None:
        assert (probability[prompts.scribbles_background] == 0).all()
    if prompts.box is not None:
        top, left, bottom, right = prompts.box
        assert probability[top : bottom + 1, left : right + 1].sum() == pytest.approx(probability.sum())


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_a_network_that_follows_the_tissue_finds_the_organ_and_not_its_twin(kind, colour):
    image, organ, other = slice_with_organs(SHAPE, colour=colour)
    mask = LearnedPrompts(NETWORKS["near"])(image, PROMPTS[kind]) > 0.5
    assert dice(mask, organ) > 0.8
    assert not (mask & other).any()


def test_strokes_far_apart_give_every_marked_piece_and_nothing_between_them():
    centres = ((20, 25), (140, 30), (80, 170))
    pieces = [ellipse(SHAPE, centre, (16, 12)) for centre in centres]
    unmarked = ellipse(SHAPE, (30, 110), (16, 12))
    bright = np.any([*pieces, unmarked], axis=0)
    image = IMAGE.min() + 40 * bright + np.random.default_rng(0).normal(0, 1, SHAPE)
    strokes = np.zeros(SHAPE, bool)
    for row, column in centres:
        strokes[row - 3 : row + 4, column] = True
    mask = LearnedPrompts(NETWORKS["near"])(image, SlicePrompts(scribbles_foreground=strokes)) > 0.5
    assert dice(mask, np.any(pieces, axis=0)) > 0.95
    assert not mask[unmarked].any()


def test_marks_of_one_piece_stay_together_and_others_apart():
    marks = draw_marks(SHAPE, SlicePrompts(foreground=[(10, 10), (12, 40), (90, 90)], background=[(50, 50)]))
    groups = mark_groups(marks)
    assert [np.argwhere(group.foreground).tolist() for group in groups] == [[[10, 10]], [[12, 40]], [[90, 90]]]
    band = np.zeros(SHAPE, bool)
    band[5:20] = True
    none = np.zeros(SHAPE, bool)
    joined = joined_groups(groups, [band, none, none])
    assert [np.argwhere(group.foreground).tolist() for group in joined] == [[[10, 10], [12, 40]], [[90, 90]]]
    assert all(group.background[50, 50] for group in joined)
    assert len(joined_groups(groups, [none, none, none])) == 3
    assert len(joined_groups(groups, [~none, none, none])) == 1


def test_the_same_marks_give_the_same_probability():
    solve = LearnedPrompts(NETWORKS["random"])
    first, second = (solve(IMAGE, PROMPTS["three clicks"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["three strokes", "a box"])
def test_a_slice_with_more_around_the_object_gives_the_same_mask_moved(kind):
    prompts = PROMPTS[kind]
    rows, columns = 23, 41
    grown = np.pad(IMAGE, ((rows, 60), (columns, 60)), mode="edge")
    moved = SlicePrompts(
        scribbles_foreground=None
        if prompts.scribbles_foreground is None
        else np.pad(prompts.scribbles_foreground, ((rows, 60), (columns, 60))),
        box=None if prompts.box is None else tuple(np.add(prompts.box, (rows, columns, rows, columns)).tolist()),
    )
    solve = LearnedPrompts(NETWORKS["near"])
    mask = solve(grown, moved)[rows : rows + SHAPE[0], columns : columns + SHAPE[1]] > 0.5
    assert dice(mask, solve(IMAGE, prompts) > 0.5) > 0.97


@pytest.mark.parametrize("factor", [2, 3])
def test_a_larger_picture_of_the_same_gives_the_same_mask_larger(factor):
    large = np.kron(IMAGE, np.ones((factor, factor)))
    prompts = SlicePrompts(scribbles_foreground=np.kron(STROKES, np.ones((factor, factor), bool)))
    solve = LearnedPrompts(NETWORKS["near"])
    small = np.kron(solve(IMAGE, SlicePrompts(scribbles_foreground=STROKES)) > 0.5, np.ones((factor, factor), bool))
    assert dice(solve(large, prompts) > 0.5, small) > 0.93


def test_a_previous_mask_alone_comes_back_as_it_is():
    mask = LearnedPrompts(NETWORKS["random"])(IMAGE, SlicePrompts(mask=ORGAN)) > 0.5
    np.testing.assert_array_equal(mask, ORGAN)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_mark_that_agrees_with_the_previous_mask_changes_nothing(network):
    prompts = SlicePrompts(mask=ORGAN, foreground=[(70, 70)], background=[(70, 110)])
    np.testing.assert_array_equal(LearnedPrompts(NETWORKS[network])(IMAGE, prompts) > 0.5, ORGAN)


@pytest.mark.parametrize("network", ["near", "all", "nothing"])
def test_a_correction_leaves_alone_what_is_not_connected_with_it(network):
    speck = ellipse(SHAPE, (130, 100), (8, 8))
    prompts = SlicePrompts(mask=ORGAN | OTHER | speck, background=[(85, 135)])
    mask = LearnedPrompts(NETWORKS[network])(IMAGE, prompts) > 0.5
    np.testing.assert_array_equal(mask[ORGAN | speck], True)
    assert not mask[85, 135]


def test_a_foreground_mark_outside_the_previous_mask_adds_what_is_there():
    prompts = SlicePrompts(mask=ORGAN, foreground=[(80, 130), (90, 140), (75, 140)])
    mask = LearnedPrompts(NETWORKS["near"])(IMAGE, prompts) > 0.5
    assert mask[ORGAN].all()
    assert dice(mask, ORGAN | OTHER) > 0.85


@pytest.mark.parametrize("corner", [(0, 0), (159, 199)])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_click_in_a_corner_is_no_special_case(corner, network):
    assert LearnedPrompts(NETWORKS[network])(IMAGE, SlicePrompts(foreground=[corner]))[corner] == 1


@pytest.mark.parametrize("network", NETWORKS)
def test_a_box_around_the_whole_slice_is_no_special_case(network):
    probability = LearnedPrompts(NETWORKS[network])(IMAGE, SlicePrompts(box=(0, 0, SHAPE[0] - 1, SHAPE[1] - 1)))
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_image_without_contrast_gives_a_finite_answer(value):
    probability = LearnedPrompts(NETWORKS["random"])(np.full(SHAPE, value), PROMPTS["three clicks"])
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("case", INVALID)
def test_marks_that_mean_nothing_are_refused_with_a_sentence(case):
    prompts, reason = INVALID[case]
    with pytest.raises(ValueError, match=reason):
        LearnedPrompts(NETWORKS["all"])(IMAGE, prompts)
