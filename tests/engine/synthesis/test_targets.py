"""Only objects that a person could follow are labelled."""

import numpy as np
import pytest

from imos_engine.synthesis.anatomy import Kind, blank
from imos_engine.synthesis.motion import still_coordinates
from imos_engine.synthesis.targets import choose_objects, keep_labels, overlap_of_successive_frames, paint_labels
from imos_engine.synthesis.tissue import Looks, separate
from imos_engine.synthesis.visibility import visible_objects


@pytest.fixture
def scene():
    """Three squares on tissue: one stays, one is tiny, one jumps away in frame 1."""
    scene = blank(np.random.default_rng(0), still_coordinates(np.arange(3, dtype=np.float32), 64), tempo=20.0)
    for rows, columns in ((slice(5, 25), slice(5, 25)), (slice(40, 43), slice(5, 8))):
        inside = np.zeros((3, 64, 64), bool)
        inside[:, rows, columns] = True
        scene.name(scene.paint(inside, Kind.TISSUE))
    jumping = np.zeros((3, 64, 64), bool)
    jumping[0, 5:15, 50:60] = jumping[1:, 45:55, 45:55] = True
    scene.name(scene.paint(jumping, Kind.TISSUE))
    return scene


def test_tiny_and_jumping_objects_are_never_chosen(scene):
    for seed in range(20):
        assert choose_objects(np.random.default_rng(seed), scene, max_objects=3, min_area=20) == [(1,)]


def test_labels_number_the_chosen_groups(scene):
    labels = paint_labels(scene, [(3,), (1, 2)])
    np.testing.assert_array_equal(labels == 1, scene.regions == 3)
    np.testing.assert_array_equal(labels == 2, np.isin(scene.regions, (1, 2)))


def test_kept_labels_are_renumbered_densely():
    np.testing.assert_array_equal(keep_labels(np.array([[0, 1, 2, 3]], np.uint8), [1, 3]), [[0, 1, 0, 2]])


def test_overlap_is_1_without_change_and_0_after_a_jump(scene):
    assert overlap_of_successive_frames(scene.regions, (1,)) == 1
    assert overlap_of_successive_frames(scene.regions, (3,)) == 0


def test_an_object_of_equal_brightness_is_invisible_and_one_that_stands_out_is_visible():
    labels = np.zeros((64, 64), np.uint8)
    labels[10:30, 10:30], labels[40:55, 40:55] = 1, 2
    picture = np.random.default_rng(0).normal(0.5, 0.05, (64, 64)).astype(np.float32)
    picture[labels == 2] += 0.2
    assert visible_objects(picture, labels) == [2]


def test_an_outline_alone_makes_an_object_visible():
    labels = np.zeros((64, 64), np.uint8)
    labels[10:30, 10:30] = 1
    picture = np.random.default_rng(0).normal(0.5, 0.02, (64, 64)).astype(np.float32)
    picture[10:30, [10, 29]] -= 0.3
    picture[[10, 29], 10:30] -= 0.3
    assert visible_objects(picture, labels) == [1]


def test_separating_gives_a_chosen_object_another_brightness_than_its_surroundings(scene):
    flat = np.full(4, 0.5, np.float32)
    looks = Looks(mean=flat.copy(), fine=0 * flat, coarse=0 * flat)
    separate(np.random.default_rng(0), looks, scene.regions, [(1,)], contrast=0.1)
    assert abs(looks.mean[1] - looks.mean[0]) >= 0.1
    np.testing.assert_array_equal(looks.mean[[0, 2, 3]], 0.5)
