from __future__ import annotations

import numpy as np
import pytest
import torch

from imos_engine.intensity import Intensity
from imos_engine.sequence import (
    FrameSequence,
    Seed,
    VolumeGeometry,
    choose_slice_axis,
    frames_along,
    slices_touched,
    volume_from_frames,
)

PLAIN = Intensity(low=0.0, high=1.0, mean=0.0, deviation=1.0)
EQUAL = (1.0, 1.0, 1.0)


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 3)])
def test_volume_to_frames_to_volume_is_the_identity_along_every_axis(axis, shape):
    volume = numbered(*shape)
    frames = frames_along(volume, axis)
    assert frames.shape[0] == shape[axis]
    assert np.array_equal(volume_from_frames(frames, axis), volume)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_frames_are_slices_of_the_volume_seen_without_a_copy(axis):
    volume = numbered(3, 4, 5)
    frames = frames_along(volume, axis)
    assert np.array_equal(frames[2], volume.take(2, axis))
    assert np.shares_memory(frames, volume)
    assert np.shares_memory(volume_from_frames(frames, axis), volume)


def test_grey_frames_are_repeated_to_three_channels():
    images = np.random.default_rng(0).random((4, 5, 6))
    frames = FrameSequence(images, PLAIN)
    assert (len(frames), frames.size) == (4, (5, 6))
    pixels = frames.normalised(1, 3)
    assert pixels.shape == (2, 3, 5, 6)
    assert pixels.dtype == torch.float32
    for channel in range(3):
        np.testing.assert_allclose(pixels[:, channel], images[1:3], atol=1e-6)


def test_colour_frames_keep_their_channels():
    images = np.random.default_rng(0).random((4, 5, 6, 3))
    pixels = FrameSequence(images, PLAIN).normalised(0, 4)
    np.testing.assert_allclose(pixels.permute(0, 2, 3, 1), images, atol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float64, ">i2", ">f4"])
def test_any_number_type_and_memory_layout_gives_the_same_frames(dtype):
    values = np.random.default_rng(0).integers(0, 2, (5, 6, 7))
    expected = torch.from_numpy(values.astype(np.float32))
    stored = values.astype(dtype)
    backward = stored[::-1, :, ::-1]
    for images in (stored, np.asfortranarray(stored), np.ascontiguousarray(stored[..., ::-1])[..., ::-1]):
        assert torch.equal(FrameSequence(images, PLAIN).normalised(0, 5)[:, 0], expected)
    assert torch.equal(FrameSequence(backward, PLAIN).normalised(0, 5)[:, 0], expected.flip(0, 2))


def test_frames_cannot_change_the_stored_image():
    images = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    before = images.copy()
    FrameSequence(images, PLAIN).normalised(0, 2).add(1)
    FrameSequence(images, PLAIN).normalised(0, 2).contiguous().zero_()
    assert np.array_equal(images, before)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2), (4, 5, 6, 3, 1), (0, 5, 6), (4, 0, 6), (4, 5, 0, 3)])
def test_arrays_that_are_no_frames_are_refused_with_their_shape(shape):
    with pytest.raises(ValueError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        FrameSequence(np.zeros(shape), PLAIN)


def test_a_seed_may_declare_objects_absent_but_not_hide_any():
    labels = np.array([[0, 3], [3, 7]])
    assert Seed(index=0, labels=labels, objects=frozenset({3, 7, 9})).objects == {3, 7, 9}
    with pytest.raises(ValueError, match=r"seed on frame 4 holds ids \[7\] that `objects` does not list"):
        Seed(index=4, labels=labels, objects=frozenset({3}))


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
def test_a_seed_is_a_two_dimensional_map(shape):
    with pytest.raises(ValueError, match="label map"):
        Seed(index=0, labels=np.zeros(shape, np.uint8), objects=frozenset({1}))


@pytest.mark.parametrize("objects", [{0, 1}, {-1}])
def test_ids_below_1_are_refused_since_0_is_the_background(objects):
    with pytest.raises(ValueError, match="at least 1"):
        Seed(index=2, labels=np.zeros((2, 2), np.int16), objects=frozenset(objects))


def test_labels_that_are_no_whole_numbers_are_refused():
    with pytest.raises(ValueError, match="integer"):
        Seed(index=2, labels=np.full((2, 2), 1.5), objects=frozenset({1}))


def test_the_gap_between_frames_is_the_spacing_along_the_slice_axis():
    gaps = [VolumeGeometry(spacing_mm=(0.7, 0.8, 5.0), slice_axis=axis).gap_between_frames_mm for axis in range(3)]
    assert gaps == [0.7, 0.8, 5.0]


def test_slices_touched_are_those_with_any_label():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 2, 0] = labels[1, 3, 4] = 2
    assert [slices_touched(labels, axis) for axis in range(3)] == [[1], [2, 3], [0, 4]]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [EQUAL, (9.0, 1.0, 1.0), (1.0, 1.0, 9.0)])
def test_an_annotated_slice_decides_the_axis_whatever_the_spacing(axis, spacing):
    labels = np.zeros((8, 9, 10), np.uint8)
    frames_along(labels, axis)[4, 2:6, 3:6] = 1
    assert choose_slice_axis(labels, spacing) == axis
    frames_along(labels, axis)[6, 1:7, 3:7] = 2  # a second annotated slice
    assert choose_slice_axis(labels, spacing) == axis


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [(EQUAL, 2), ((5.0, 1.0, 1.0), 0), ((1.0, 5.0, 1.0), 1), ((2.0, 2.0, 1.0), 1), ((2.0, 1.0, 2.0 - 1e-6), 2)],
)
def test_without_a_planar_annotation_the_coarsest_axis_is_taken_and_ties_go_to_the_last(spacing, axis):
    nothing, point, cube = np.zeros((8, 8, 8)), np.zeros((8, 8, 8)), np.zeros((8, 8, 8))
    point[3, 4, 5] = 1
    cube[2:5, 3:6, 1:4] = 1
    assert [choose_slice_axis(labels, spacing) for labels in (nothing, point, cube)] == [axis] * 3


def test_a_line_within_a_slice_leaves_the_choice_between_its_planes_to_the_spacing():
    labels = np.zeros((8, 8, 8))
    labels[2:6, 4, 5] = 1  # a stroke along axis 0 lies in a plane of axis 1 and in one of axis 2
    assert choose_slice_axis(labels, (9.0, 1.0, 3.0)) == 2
    assert choose_slice_axis(labels, (9.0, 3.0, 1.0)) == 1
