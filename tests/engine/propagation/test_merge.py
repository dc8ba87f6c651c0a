from __future__ import annotations

import numpy as np
import pytest
import torch

from imos_engine.propagation.merge import HeldStep, LabelCanvas, agreement, blend, confidence, on_one_box
from imos_engine.propagation.resizing import Box, FrameGrid

GRID = FrameGrid.fit(Box.whole((37, 53)), None)
CPU = torch.device("cpu")


def plane(*values: float) -> torch.Tensor:
    """(K, 1, 1): one pixel, one value per object."""
    return torch.tensor(values)[:, None, None]


def test_packed_probabilities_come_back_within_half_a_step_of_8_bits():
    probabilities = torch.rand(3, 37, 53)
    returned = HeldStep.pack(GRID, probabilities).unpack(CPU)[1]
    assert returned.shape == probabilities.shape
    assert (returned - probabilities).abs().max() <= 1 / 510 + 1e-6


def test_certain_masks_pack_exactly_and_small():
    mask = torch.zeros(2, 256, 256)
    mask[0, 60:120, 80:200] = 1
    packed = HeldStep.pack(GRID, mask)
    assert torch.equal(packed.unpack(CPU)[1], mask)
    assert len(packed.packed) < mask.numel() / 50


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


def test_confidence_is_the_mean_probability_inside_the_mask():
    probabilities = torch.tensor([[[0.9, 0.7, 0.2]], [[0.3, 0.1, 0.0]]])
    torch.testing.assert_close(
        confidence(probabilities, present=probabilities > 0.5), torch.tensor([0.8, 0.7]), atol=1e-6, rtol=0
    )


def test_an_object_that_is_surely_absent_is_sure():
    nothing = torch.zeros(1, 4, 4)
    assert confidence(nothing, present=nothing > 0.5).tolist() == [1.0]


def test_agreement_is_the_overlap_of_the_two_passes():
    first, second = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    first[0, :2], second[0, 1:3] = 1, 1  # one row of three
    first[1, 0], second[1, 3] = 1, 1
    assert agreement(first, second).tolist() == pytest.approx([1 / 3, 0, 1])
    torch.testing.assert_close(agreement(first, second), agreement(second, first))
    assert agreement(first, first).tolist() == pytest.approx([1, 1, 1])
