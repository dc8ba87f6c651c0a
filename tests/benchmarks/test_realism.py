"""What is said of a sequence's cues agrees with how the sequence was made."""

import cv2
import numpy as np
import pytest

from benchmarks.realism import LabelledObject, cues_of
from imos_engine.intensity import robust_intensity
from imos_engine.sequence import FrameSequence

FRAMES, SIDE = 5, 96


def disc(column, *, radius=14):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (rows - SIDE / 2) ** 2 + (columns - column) ** 2 < radius**2


def texture(*, scale=3.0):
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(SIDE, SIDE)), (0, 0), scale)
    return (grain / grain.std()).astype(np.float32)


def cues(pictures, truth, *, seed=2):
    images = np.stack(pictures).astype(np.float32)
    return cues_of(LabelledObject(FrameSequence(images, robust_intensity(images)), np.stack(truth), seed))


@pytest.fixture(scope="module")
def still():
    mask = disc(SIDE / 2)
    return cues([np.where(mask, 6, 0) + texture()] * FRAMES, [mask] * FRAMES)


@pytest.fixture(scope="module")
def gliding():
    """Disc and texture go to the right together, by four pixels a frame."""
    shifts = [4 * (index - FRAMES // 2) for index in range(FRAMES)]
    masks = [disc(SIDE / 2 + shift) for shift in shifts]
    return cues(
        [np.where(mask, 6, 0) + np.roll(texture(), shift, axis=1) for mask, shift in zip(masks, shifts, strict=True)],
        masks,
    )


def test_an_object_of_its_own_brightness_is_told_by_its_looks(still):
    assert still.alike > 0.98


def test_an_object_that_looks_like_all_else_is_not():
    mask = disc(SIDE / 2)
    random = np.random.default_rng(1)
    same = cues([random.normal(size=(SIDE, SIDE)) for _ in range(FRAMES)], [mask] * FRAMES)
    assert same.alike == pytest.approx(0.5, abs=0.1)
    assert same.edge == pytest.approx(1, abs=0.15)


def test_the_only_edge_is_steeper_than_what_surrounds_it(still):
    assert still.edge > 2


def test_where_nothing_moves_both_guesses_are_right_and_nothing_is_unexplained(still):
    assert still.still == 1
    assert still.moved > 0.98
    assert still.change < 0.01


def test_a_mask_that_follows_the_motion_is_better_than_one_that_stays(gliding):
    assert gliding.still < 0.75
    assert gliding.moved > 0.9


def test_noise_of_its_own_in_every_frame_is_change():
    mask, random = disc(SIDE / 2), np.random.default_rng(2)
    picture = np.where(mask, 6, 0) + texture()
    noisy = cues([picture + random.normal(size=picture.shape) for _ in range(FRAMES)], [mask] * FRAMES)
    assert noisy.change > 0.1


def test_an_object_on_the_seed_alone_has_no_cues():
    mask = disc(SIDE / 2)
    assert cues([texture()] * FRAMES, [mask & (index == 2) for index in range(FRAMES)]) is None
