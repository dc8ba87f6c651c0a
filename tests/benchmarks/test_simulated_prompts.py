from __future__ import annotations

import numpy as np
import pytest

from benchmarks import prompts
from benchmarks.simulated_prompts import (
    KINDS,
    as_served,
    largest_component,
    mask_with_a_gap,
    mask_with_an_excess,
    strokes_inside,
)
from imos_engine.prompts import SlicePrompts
from tests.benchmarks.labelled_folder import disk_volume, write_case

MASKS = {
    "disk": disk_volume([9], 1)[..., 0] > 0,
    "disk at the border": disk_volume([9], 1, centre=(1, 30))[..., 0] > 0,
    "thin line": np.eye(40, 32, k=-3, dtype=bool) | np.eye(40, 32, k=-4, dtype=bool),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MASKS)
def test_simulated_marks_tell_the_truth(kind, name):
    mask = MASKS[name]
    drawn = KINDS[kind](mask, np.random.default_rng(1))
    assert all(mask[point] for point in drawn.foreground)
    assert not any(mask[point] for point in drawn.background)
    if drawn.scribbles_foreground is not None:
        assert drawn.scribbles_foreground.any()
        assert not (drawn.scribbles_foreground & ~mask).any()
    if drawn.scribbles_background is not None:
        assert drawn.scribbles_background.any()
        assert not (drawn.scribbles_background & mask).any()
    if drawn.box is not None:
        top, left, bottom, right = drawn.box
        assert mask[top : bottom + 1, left : right + 1].sum() == mask.sum()


def test_the_same_seed_draws_the_same_marks():
    first, second = (KINDS["3 clicks"](MASKS["disk"], np.random.default_rng(4)) for _ in range(2))
    assert first.foreground == second.foreground
    assert len(set(first.foreground)) == 3


def test_every_piece_that_is_noticed_gets_a_stroke_the_largest_first():
    mask = np.zeros((60, 60), bool)
    mask[2:22, 2:22], mask[30:42, 30:42], mask[50:58, 2:10], mask[50:52, 50:52] = True, True, True, True
    for count, noticed in ((1, 1), (2, 2), (3, 3), (5, 3)):
        drawn = strokes_inside(mask, count, np.random.default_rng(count))
        touched = [drawn[part].any() for part in (np.s_[2:22, 2:22], np.s_[30:42, 30:42], np.s_[50:58, 2:10])]
        assert touched == [number < noticed for number in range(3)]
        assert not drawn[50:52, 50:52].any()


def test_a_ct_slice_is_shown_in_a_window_that_suits_what_was_marked():
    frames = np.full((3, 40, 40), -1000, np.int16)
    frames[:, 5:35, 5:35], frames[:, 15:25, 15:25] = 40, 90
    for prompts_of_it in (SlicePrompts(foreground=[(20, 20)]), SlicePrompts(box=(14, 14, 26, 26))):
        shown = as_served(frames, 1, prompts_of_it)
        contrast = shown[20, 20] - shown[8, 8]
        assert contrast > 0.1 * (shown.max() - shown.min())  # of the whole range it is 1/22


def test_prompts_are_about_the_largest_piece():
    pieces = disk_volume([7], 1)[..., 0] + disk_volume([4], 1, centre=(35, 28))[..., 0] > 0
    assert largest_component(pieces)[20, 16]
    assert not largest_component(pieces)[35, 28]


def test_the_command_prints_a_row_per_label_and_means(tmp_path, capsys):
    write_case(tmp_path, "a", disk_volume([7, 8, 9, 8, 7, 6], 1))
    write_case(tmp_path, "b", disk_volume([7, 8, 9, 8, 7, 6], 2), modality="CT")
    assert prompts.main([str(tmp_path), "--kinds", "3 clicks,box", "--solver", "classical"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "classical:"
    assert [line.split()[0] for line in lines[2:4]] == ["a", "b"]
    assert [float(value) > 0.5 for value in lines[-3].split()[-2:]] == [True, True]


@pytest.mark.parametrize("name", MASKS)
def test_a_previous_mask_to_correct_is_wrong_where_the_click_is_and_right_elsewhere(name):
    mask = MASKS[name]
    gap, missing = mask_with_a_gap(mask, np.random.default_rng(2))
    assert mask[missing]
    assert not gap[missing]
    assert not (gap & ~mask).any()
    assert 0.6 < gap.sum() / mask.sum() < 0.8
    excess, wrong = mask_with_an_excess(mask, np.random.default_rng(2))
    assert excess[wrong]
    assert not mask[wrong]
    assert (excess & mask).sum() == mask.sum()
