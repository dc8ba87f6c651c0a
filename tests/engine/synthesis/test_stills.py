"""Deformed stills show the same objects elsewhere; thick slices and coarse pixels lose detail only."""

import numpy as np
import pytest

from imos_engine.synthesis import SequenceGenerator, SynthesisConfig
from imos_engine.synthesis.camera import enlarge, through_slab
from imos_engine.synthesis.stills import deformed_copies


def test_a_static_clip_begins_with_its_picture_and_repeats_it_deformed():
    clip = SequenceGenerator(SynthesisConfig(frames=5, size=64, static=True), seed=1).clip(0)
    assert clip.frames.shape == (5, 3, 64, 64)
    assert clip.labels.shape == (5, 64, 64)
    assert 0 <= clip.frames.min() <= clip.frames.max() <= 1
    assert not np.array_equal(clip.labels[0], clip.labels[1])


def test_static_clips_depend_on_seed_and_index_alone():
    settings = SynthesisConfig(frames=3, size=48, static=True)
    first, again = (SequenceGenerator(settings, seed=2).clip(4) for _ in range(2))
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.labels, again.labels)


def test_picture_and_labels_are_deformed_alike():
    labels = np.zeros((64, 64), np.uint8)
    labels[20:44, 24:40] = 1
    picture = np.repeat(labels[None].astype(np.float32), 3, axis=0) * 0.6 + 0.2
    frames, copies = deformed_copies(np.random.default_rng(0), picture, labels, 6)
    np.testing.assert_array_equal(frames[0], picture)
    np.testing.assert_array_equal(copies[0], labels)
    for frame, copy in zip(frames[1:], copies[1:], strict=True):
        middle = (frame[0].max() + frame[0].min()) / 2
        assert ((frame[0] > middle) == (copy == 1)).mean() > 0.97
        assert not np.array_equal(copy, labels)


def test_a_thick_slice_is_the_weighted_mean_of_its_thin_ones():
    thin = np.arange(5, dtype=np.float32)[:, None, None] ** 2 * np.ones((5, 4, 4), np.float32)
    np.testing.assert_allclose(through_slab(thin)[:, 0, 0], [0.25, 4.5, 14.25])  # squares of 0 to 4


@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_coarse_pixels_keep_shape_and_mean_but_not_fine_detail(factor):
    rng = np.random.default_rng(0)
    frames = rng.random((3, 64, 64), dtype=np.float32)
    coarse = enlarge(rng, frames, factor)
    assert coarse.shape == frames.shape
    assert coarse.mean() == pytest.approx(frames.mean(), abs=0.03)
    assert coarse.std() < 0.8 * frames.std()


def test_a_factor_of_1_changes_nothing():
    frames = np.random.default_rng(0).random((2, 32, 32), dtype=np.float32)
    np.testing.assert_array_equal(enlarge(np.random.default_rng(0), frames, 1.0), frames)
