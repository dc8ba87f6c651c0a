from __future__ import annotations

import numpy as np
import pytest

from benchmarks.baselines import region as region_module
from benchmarks.baselines.flow import earlier_share
from benchmarks.baselines.grey_frames import grey_frames
from benchmarks.baselines.region import Region
from benchmarks.methods import TRAINING_FREE
from tests.benchmarks.moving_disk import FRAMES, moving_disk


@pytest.mark.parametrize("name", TRAINING_FREE)
@pytest.mark.parametrize("colour", [False, True])
def test_annotated_frames_come_back_as_they_were_given(name, colour, monkeypatch):
    monkeypatch.setattr(region_module, "MAX_VOXELS", 4000)  # at a reduced size the stripes are lost
    images, truth = moving_disk(colour=colour)
    given = truth[2] & (np.arange(truth.shape[1]) % 2 == 0)[:, None]  # stripes: nothing that a method would find
    seeds = {2: given, 6: np.zeros_like(given)}
    predicted = TRAINING_FREE[name](images, seeds)
    assert predicted.dtype == bool
    assert predicted.shape == truth.shape
    for index, mask in seeds.items():
        np.testing.assert_array_equal(predicted[index], mask)


@pytest.mark.parametrize("name", ["random walker", "graph cut", "flow"])
def test_what_looks_at_the_image_follows_a_bright_disk_better_than_copy_and_paste(name):
    images, truth = moving_disk(step=1)
    predicted, copied = (TRAINING_FREE[one](images, {4: truth[4]}) for one in (name, "repeat"))
    wrong, wrong_copy = (np.count_nonzero(one != truth) for one in (predicted, copied))
    assert wrong < 0.5 * wrong_copy


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_a_sequence_may_be_run_backwards(name):
    images, truth = moving_disk(step=1)
    forward = TRAINING_FREE[name](images, {1: truth[1]})
    backward = TRAINING_FREE[name](images[::-1], {FRAMES - 2: truth[1]})
    assert np.count_nonzero(forward != backward[::-1]) <= 0.05 * np.count_nonzero(forward)


def test_repeating_takes_the_nearest_seed_and_the_earlier_of_two():
    masks = {index: np.full((3, 3), bool(index)) for index in (0, 4)}
    repeated = TRAINING_FREE["repeat"](np.zeros((7, 3, 3)), masks)
    assert repeated[:, 0, 0].tolist() == [False, False, False, True, True, True, True]


def test_flow_blends_two_seeds_by_the_distance_to_them():
    seeds = {2: np.ones((1, 1), bool), 6: np.ones((1, 1), bool)}
    assert [earlier_share(index, seeds) for index in range(9)] == [0, 0, 1, 0.75, 0.5, 0.25, 1, 1, 1]


def test_an_empty_seed_ends_the_object_for_flow():
    images, truth = moving_disk(step=1)
    predicted = TRAINING_FREE["flow"](images, {2: truth[2], 4: np.zeros_like(truth[4])})
    assert predicted[:3].any(axis=(1, 2)).all()
    assert not predicted[4:].any()


def test_frames_are_seen_through_the_window_that_suits_the_seed():
    images = np.full((2, 20, 20), -1000.0)
    images[:, 5:15, 5:15] = 40
    images[0, 0, 0] = 2000
    images[1, 0, :10] = 1900
    seed = np.zeros((20, 20), bool)
    seed[5:15, 5:15] = True
    shown = grey_frames(images, {0: seed})
    assert shown[0, 19, 19] == 0
    assert shown[0, 0, 0] == 255
    assert 100 < shown[0, 10, 10] < 150  # the abdomen window, -150 to 250


def test_a_region_shows_the_seed_and_puts_it_back_where_it_was(monkeypatch):
    mask = np.zeros((100, 80), bool)
    mask[30:60, 60:80] = True
    region = Region.around({0: mask}, 5)
    assert (region.rows, region.columns) == (slice(15, 75), slice(45, 80))
    assert region.size == (60, 35)
    np.testing.assert_array_equal(region.restore(region.reduce(mask[None]))[0], mask)
    monkeypatch.setattr(region_module, "MAX_VOXELS", 2000)
    reduced = Region.around({0: mask}, 5)
    assert 5 * reduced.size[0] * reduced.size[1] <= 2000
    restored = reduced.restore(reduced.reduce(mask[None]))[0]
    assert np.count_nonzero(restored != mask) < 0.15 * np.count_nonzero(mask)


def test_seeds_without_a_pixel_are_refused():
    with pytest.raises(ValueError, match="no seed holds a pixel"):
        Region.around({0: np.zeros((4, 4), bool)}, 3)
