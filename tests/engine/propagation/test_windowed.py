"""Propagation through windows and along the optical flow, end to end with an untrained refiner."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from imos_engine.config import RefinerConfig
from imos_engine.propagation import FeatureCache
from imos_engine.propagation.motion_field import FlowCache, MotionField
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.propagation.timings import Timings
from imos_engine.sequence import FrameSequence, Seed
from tests.engine.narrow import NARROW, narrow_network
from tests.engine.sequences import GREY

from .carrying import propagate, propagator_of, same

SIZE = (160, 200)
STEP = 4  # pixels per frame, to the right


def followed_network():
    """Refines by the flow alone: as untrained, and blind to what the decoder says."""
    network = narrow_network(replace(NARROW, refiner=RefinerConfig(channels=(8, 8))))
    with torch.no_grad():
        for parameter in network.refiner.correction.parameters():
            parameter.zero_()
        network.refiner.trust.copy_(torch.tensor([0.0, 1.0]))
        network.refiner.presence[-1].weight.zero_()
        network.refiner.presence[-1].bias.fill_(5)
    return network


def travelling(count: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """A textured disc of 24 pixels that crosses a textured background: images and truth, (T, H, W)."""
    random = np.random.default_rng(0)
    background, disc = (cv2.GaussianBlur(random.random(SIZE, dtype=np.float32), (0, 0), 2) for _ in range(2))
    background, disc = ((part - part.mean()) / part.std() * 0.15 for part in (background, disc))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    truth = np.stack([(rows - 80) ** 2 + (columns - 40 - STEP * t) ** 2 < 144 for t in range(count)])
    moved = np.stack([np.roll(disc, STEP * t, axis=1) for t in range(count)])
    return np.clip(np.where(truth, 0.7 + moved, 0.3 + background), 0, 1), truth


def seed_of(truth: np.ndarray, index: int) -> Seed:
    return Seed(index=index, labels=truth[index].astype(np.uint8), objects=frozenset({1}))


@pytest.mark.parametrize("start", [0, 7, 13])
@pytest.mark.parametrize("window", [None, 2.5])
def test_a_small_object_is_followed_out_of_its_first_window(start, window):
    images, truth = travelling()
    propagator = propagator_of(followed_network(), size=128, window=window)
    results = propagate(FrameSequence(images, GREY), [seed_of(truth, start)], propagator=propagator)
    for index, result in results.items():
        found, true = result.labels == 1, truth[index]
        assert (found & true).sum() / true.sum() > 0.75  # standing still: nothing from the seventh frame on
        assert found.sum() < 3 * true.sum()  # what it uncovers is dragged along


def test_what_drifted_before_a_seed_does_not_pull_at_what_comes_after_it():
    images, truth = travelling()
    frames, elsewhere = FrameSequence(images, GREY), np.roll(truth[12], 40, axis=0).astype(np.uint8)
    wrong_later = Seed(index=12, labels=elsewhere, objects=frozenset({1}))
    alone = propagate(frames, [seed_of(truth, 5)], propagator=propagator_of(followed_network(), size=128, window=2.5))
    both = propagate(
        frames, [seed_of(truth, 5), wrong_later], propagator=propagator_of(followed_network(), size=128, window=2.5)
    )
    for index in range(5):
        assert (both[index].labels == alone[index].labels).mean() > 0.995
        found, true = both[index].labels == 1, truth[index]
        assert (found & true).sum() / true.sum() > 0.75


def test_the_same_windows_are_found_in_the_cache_again():
    images, truth = travelling(8)
    propagator = propagator_of(followed_network(), size=96, window=2.5, features=FeatureCache(1 << 26))
    first, second = (
        propagate(FrameSequence(images, GREY), [seed_of(truth, 3)], propagator=propagator, image_key="image")
        for _ in range(2)
    )
    assert same(first, second)
    assert propagator.timings.cached_frames == propagator.timings.frames


def test_objects_far_apart_keep_to_themselves_and_come_back_in_one_map():
    images, truth = travelling(6)
    other = np.zeros(SIZE, dtype=bool)
    other[10:22, 150:162] = True
    labels = truth[0].astype(np.uint8) + 2 * other.astype(np.uint8)
    seed = Seed(index=0, labels=labels, objects=frozenset({1, 2}))
    both = propagate(
        FrameSequence(images, GREY), [seed], propagator=propagator_of(followed_network(), size=96, window=2.5)
    )
    alone = propagate(
        FrameSequence(images, GREY), [seed_of(truth, 0)],
        propagator=propagator_of(followed_network(), size=96, window=2.5),
    )  # fmt: skip
    for index in both:
        np.testing.assert_array_equal(both[index].labels == 1, alone[index].labels == 1)
        assert (both[index].labels == 2).any()


def test_an_object_estimated_to_be_absent_is_not_shown_and_ends_its_sweep():
    images, truth = travelling(8)
    network = followed_network()
    with torch.no_grad():
        network.refiner.presence[-1].bias.fill_(-5)
    frames, seed = FrameSequence(images, GREY), seed_of(truth, 0)
    hidden = propagate(frames, [seed], propagator=propagator_of(network, size=96, window=2.5, end_after=2))
    assert not any(hidden[index].labels.any() for index in range(1, 8))
    shown = propagate(frames, [seed], propagator=propagator_of(network, size=96, window=2.5, presence_threshold=0.0))
    assert all(shown[index].labels.any() for index in range(1, 8))


def test_flow_between_windows_leads_from_here_to_there():
    images, _ = travelling(2)
    field = MotionField(FrameSequence(images, GREY), device=torch.device("cpu"), timings=Timings())
    here, there = FrameGrid.fit(Box(60, 20, 40, 40), 64), FrameGrid.fit(Box(56, 8, 48, 60), 80)
    flow = field.between(1, here, 0, there)[0]
    positions = here.positions(torch.device("cpu"))
    left, _, top, _ = here.padding
    row, column = top + 32, left + 40  # on the disc: frame column 45 of frame 1
    index = torch.tensor([float(column), float(row)]) + flow[:, row, column]
    expected = there.indices(positions[:, row, column] - torch.tensor([float(STEP), 0.0]))
    torch.testing.assert_close(index, expected, atol=1.5, rtol=0)


def test_a_box_is_expected_where_its_pixels_went():
    images, _ = travelling(2)
    field = MotionField(FrameSequence(images, GREY), device=torch.device("cpu"), timings=Timings())
    moved = field.moved(Box(74, 38, 12, 10), 1, 0)
    assert (moved.height, moved.width) == (12, 10)
    assert 1 <= moved.left - 38 <= 2 * STEP
    assert abs(moved.top - 74) <= 1


def test_flow_that_was_kept_is_the_flow_that_was_found():
    images = np.random.default_rng(0).integers(0, 255, (4, 40, 50)).astype(np.float32)
    cache = FlowCache(1 << 24)
    fields = [
        MotionField(
            FrameSequence(images, GREY), device=torch.device("cpu"), timings=Timings(), cache=cache, image_key=key
        )
        for key in ("image", "image", None)
    ]
    found, kept, fresh = (field.flow(2, 1) for field in fields)
    assert cache.held_bytes > 0
    assert torch.equal(kept, found)
    assert torch.equal(fresh, found)
    other = FrameSequence(images[::-1].copy(), GREY)
    stranger = MotionField(other, device=torch.device("cpu"), timings=Timings(), cache=cache, image_key="another")
    assert not torch.equal(stranger.flow(2, 1), found)
