from __future__ import annotations

import numpy as np
import pytest
import torch

from imos_engine.propagation.merge import HeldAnswer, LabelCanvas, Merged, PassAnswer, blend, on_one_box
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.propagation.sweep import SweepStep

GRID = FrameGrid.fit(Box.whole((48, 64)), None)  # no padding
CPU = torch.device("cpu")


def plane(*values: float) -> torch.Tensor:
    """(K, 1, 1): one pixel, one value per object."""
    return torch.tensor(values)[:, None, None]


def step_of(masks: torch.Tensor, presence: torch.Tensor | None = None, *, grid: FrameGrid = GRID) -> SweepStep:
    objects = len(masks)
    return SweepStep(
        index=0,
        grid=grid,
        probabilities=torch.cat((1 - masks.sum(0, keepdim=True), masks)),
        presence=torch.ones(objects) if presence is None else presence,
        entered=torch.ones(objects, dtype=torch.bool),
        memory_sizes=(0, 0),
    )


def answer_of(masks, presence=None, *, before=None, threshold=0.5, grid=GRID) -> PassAnswer:
    return PassAnswer.of(step_of(masks, presence, grid=grid), presence_threshold=threshold, before=before)


def squares(*sides: int) -> torch.Tensor:
    """(K, 48, 64): a sure square per object."""
    masks = torch.zeros(len(sides), 48, 64)
    for mask, side in zip(masks, sides, strict=True):
        mask[:side, :side] = 1
    return masks


def test_a_held_answer_comes_back_within_half_a_step_of_8_bits():
    answer = answer_of(torch.rand(3, 48, 64) / 3, torch.tensor([0.9, 0.6, 0.7]), before=answer_of(squares(1, 2, 3)))
    returned = HeldAnswer.pack(answer).unpack()
    assert returned.probabilities.shape == answer.probabilities.shape
    assert (returned.probabilities - answer.probabilities).abs().max() <= 1 / 510 + 1e-6
    assert torch.equal(returned.presence, answer.presence)
    assert torch.equal(returned.change, answer.change)
    assert returned.grid == answer.grid


def test_certain_masks_are_held_exactly_and_small():
    mask = torch.zeros(2, 256, 256)
    mask[0, 60:120, 80:200] = 1
    held = HeldAnswer.pack(answer_of(mask))
    assert torch.equal(held.unpack().probabilities, mask)
    assert len(held.packed) < mask.numel() / 50
    assert held.answer.probabilities.numel() == 0


def test_an_object_that_is_probably_absent_is_not_shown():
    answer = answer_of(squares(5, 6), torch.tensor([0.29, 0.3]), threshold=0.3)
    assert answer.probabilities.flatten(1).sum(1).tolist() == [0, 36]
    assert answer.areas.tolist() == [0, 36]


def test_change_of_area_does_not_depend_on_the_window():
    coarse, fine = FrameGrid(Box.whole((64, 64)), (32, 32)), FrameGrid.fit(Box.whole((64, 64)), None)
    before = answer_of(torch.ones(1, 32, 32), grid=coarse)
    same = answer_of(torch.ones(1, 64, 64), grid=fine, before=before)
    assert before.areas.tolist() == same.areas.tolist() == [64 * 64]
    assert same.change.tolist() == [0]


def test_growing_and_shrinking_count_alike_and_more_counts_more():
    small, middle, large = (answer_of(squares(side)) for side in (5, 10, 20))
    changes = [answer_of(squares(10), before=before).change.item() for before in (small, middle, large)]
    assert changes[1] == 0 < changes[0]
    assert answer_of(squares(5), before=middle).change.item() == pytest.approx(changes[0])
    assert answer_of(squares(20), before=small).change.item() > changes[0]


def test_agreement_is_said_only_where_both_passes_count():
    answers = {1: answer_of(squares(6, 6, 6)), -1: answer_of(squares(6, 3, 6))}
    merged = Merged.of(answers, torch.tensor([0.5, 0.25, 1.0]))
    assert merged.agreement == [pytest.approx(1.0), pytest.approx(0.25), None]
    assert Merged.of({1: answers[1]}, torch.full((3,), 0.5)).agreement == [None] * 3


def test_evidence_describes_one_object_s_mask():
    half = torch.zeros(2, 48, 64)
    half[0, :4, :4], half[1, 10:14] = 0.75, 1.0
    merged = Merged.of({1: answer_of(half, torch.tensor([0.8, 0.9]))}, torch.ones(2))
    unsure = merged.evidence(0, merged.probabilities[0].numpy() > 0.5, distance=3)
    assert (unsure.empty, unsure.distance, unsure.agreement) == (False, 3, None)
    assert (unsure.inside, unsure.peak, unsure.presence) == pytest.approx((0.75, 0.75, 0.8))
    sure = merged.evidence(1, merged.probabilities[1].numpy() > 0.5, distance=3)
    assert sure.inside == 1
    assert sure.entropy < 1e-4 < unsure.entropy
    nothing = merged.evidence(0, np.zeros((48, 64), dtype=bool), distance=3)
    assert (nothing.empty, nothing.inside) == (True, 0)
    assert nothing.peak == pytest.approx(0.75)


def test_two_passes_are_blended_by_the_forward_pass_s_share():
    passes = {1: plane(0.8, 0.2), -1: plane(0.4, 1.0)}
    torch.testing.assert_close(blend(passes, torch.tensor([0.75, 0.25])), plane(0.7, 0.8))


@pytest.mark.parametrize(("share", "direction"), [(1.0, 1), (0.0, -1)])
def test_beyond_its_annotated_frames_an_object_follows_one_pass_only(share, direction):
    passes = {1: plane(0.8), -1: plane(0.4)}
    assert torch.equal(blend(passes, torch.tensor([share])), passes[direction])


def test_an_object_that_only_one_pass_reached_counts_in_full_there():
    assert torch.equal(blend({1: plane(0.8, 0.6)}, torch.tensor([0.25, 1.0])), plane(0.8, 0.6))
    assert torch.equal(blend({-1: plane(0.8, 0.6)}, torch.tensor([0.25, 0.0])), plane(0.8, 0.6))


def test_a_pass_that_cannot_have_come_from_the_object_says_nothing_about_it():
    assert torch.equal(blend({1: plane(0.8, 0.6)}, torch.tensor([0.0, 1.0])), plane(0.0, 0.6))
    assert torch.equal(blend({-1: plane(0.8, 0.6)}, torch.tensor([1.0, 0.0])), plane(0.0, 0.6))


def test_blending_stays_between_the_passes():
    forward, backward = torch.rand(3, 5, 6), torch.rand(3, 5, 6)
    blended = blend({1: forward, -1: backward}, torch.rand(3))
    assert (blended <= torch.maximum(forward, backward) + 1e-6).all()
    assert (blended >= torch.minimum(forward, backward) - 1e-6).all()


def labels_of(probabilities, ids, *, dtype=np.uint16, size=(1, 4), box=None):
    canvas = LabelCanvas(size, np.dtype(dtype), CPU)
    canvas.add(box or Box.whole(size), probabilities, ids)
    return canvas.labels()


def test_each_pixel_gets_the_id_of_the_most_probable_object_or_background():
    labels = labels_of(torch.tensor([[[0.6, 0.1, 0.2, 0.5]], [[0.3, 0.8, 0.2, 0.1]]]), [7, 300])
    assert labels.tolist() == [[7, 300, 0, 7]]
    assert labels.dtype == np.uint16


def test_objects_of_other_windows_compete_like_objects_of_one():
    canvas = LabelCanvas((1, 4), np.dtype(np.uint8), CPU)
    canvas.add(Box(0, 0, 1, 3), torch.tensor([[[0.6, 0.1, 0.2]]]), [7])
    canvas.add(Box(0, 1, 1, 3), torch.tensor([[[0.8, 0.7, 0.1]]]), [3])
    assert canvas.labels().tolist() == [[7, 3, 3, 0]]


def test_windows_of_both_passes_meet_in_the_frame():
    left, right = FrameGrid.fit(Box(0, 0, 16, 16), None), FrameGrid.fit(Box(0, 8, 16, 16), None)
    box, planes = on_one_box({1: (left, torch.ones(2, 16, 16)), -1: (right, torch.ones(2, 16, 16))})
    assert box == Box(0, 0, 16, 24)
    assert planes[1][0].sum(0).tolist() == [16] * 16 + [0] * 8
    assert planes[-1][1].sum(0).tolist() == [0] * 8 + [16] * 16
