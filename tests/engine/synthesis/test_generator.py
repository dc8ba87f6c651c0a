"""Clips are reproducible, well formed, and change slowly enough to be followed."""

from collections import Counter

import numpy as np
import pytest

from imos_engine.synthesis import MODALITIES, SequenceGenerator, SynthesisConfig, SyntheticClip, textures
from imos_engine.synthesis.generator import TILE_SETS
from imos_engine.synthesis.textures import texture_tiles

SETTINGS = SynthesisConfig(frames=6, size=64)
CLIPS = 60


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    generator = SequenceGenerator(SETTINGS, seed=1)
    return [generator.clip(index) for index in range(CLIPS)]


def masks_of(clips: list[SyntheticClip]) -> list[np.ndarray]:
    """Mask sequences (T, H, W) of every object of every clip."""
    return [clip.labels == label for clip in clips for label in range(1, int(clip.labels[0].max()) + 1)]


def overlaps(mask: np.ndarray) -> np.ndarray:
    """Intersection over union of neighbouring frames in which the object is present."""
    both, either = mask[1:] & mask[:-1], mask[1:] | mask[:-1]
    present = mask.any((1, 2))
    shared = present[1:] & present[:-1]
    return both.sum((1, 2))[shared] / either.sum((1, 2))[shared]


def test_the_same_seed_and_index_give_the_same_clip_in_any_order(clips):
    again = SequenceGenerator(SETTINGS, seed=1)
    for index in (7, 0, 23):
        clip = again.clip(index)
        np.testing.assert_array_equal(clip.frames, clips[index].frames)
        np.testing.assert_array_equal(clip.labels, clips[index].labels)
        assert clip.modality == clips[index].modality


def test_another_index_or_seed_gives_another_clip(clips):
    assert not np.array_equal(clips[0].frames, clips[1].frames)
    assert not np.array_equal(clips[0].frames, SequenceGenerator(SETTINGS, seed=2).clip(0).frames)


def test_frames_are_finite_floats_between_0_and_1_and_use_the_range(clips):
    for clip in clips:
        assert clip.frames.shape == (6, 3, 64, 64)
        assert clip.frames.dtype == np.float32
        assert 0 <= clip.frames.min() <= clip.frames.max() <= 1  # false for NaN, too
        assert np.ptp(clip.frames) > 0.2


def test_labels_are_dense_and_every_object_is_in_frame_0(clips):
    for clip in clips:
        assert clip.labels.shape == (6, 64, 64)
        assert clip.labels.dtype == np.uint8
        first = set(np.unique(clip.labels[0])) - {0}
        assert first == set(range(1, len(first) + 1))
        assert 1 <= len(first) <= SETTINGS.max_objects
        assert set(np.unique(clip.labels)) <= first | {0}


def test_objects_in_frame_0_have_the_least_area(clips):
    assert min(mask[0].sum() for mask in masks_of(clips)) >= SETTINGS.min_area


def test_shapes_change_slowly_but_they_change(clips):
    medians = np.array([np.median(overlaps(mask)) for mask in masks_of(clips) if len(overlaps(mask))])
    assert np.median(medians) > 0.65
    assert np.quantile(medians, 0.05) > 0.15
    assert (medians < 0.95).mean() > 0.5
    assert (medians > 0.8).mean() > 0.25


def test_in_a_third_of_the_clips_an_object_ends_but_most_objects_stay(clips):
    ended = np.mean([set(np.unique(clip.labels[-1])) < set(np.unique(clip.labels[0])) for clip in clips])
    assert 0.25 < ended < 0.65
    assert np.mean([not mask[-1].any() for mask in masks_of(clips)]) < 0.5


def test_many_objects_span_a_quarter_to_two_thirds_of_the_frame(clips):
    sides = [max(np.ptp(axis) + 1 for axis in np.nonzero(mask[0])) / 64 for mask in masks_of(clips)]
    assert np.mean([0.22 <= side <= 0.65 for side in sides]) > 0.4


def test_every_modality_occurs_and_only_endoscopy_is_in_colour(clips):
    assert set(Counter(clip.modality for clip in clips)) == set(MODALITIES)
    for clip in clips:
        grey = np.array_equal(clip.frames[:, 0], clip.frames[:, 1])
        assert grey == (clip.modality != "endoscopy")


def test_objects_of_several_sizes_and_numbers_occur(clips):
    areas = np.array([mask[0].mean() for mask in masks_of(clips)])
    assert (areas < 0.03).any()
    assert (areas > 0.2).any()
    assert {int(clip.labels.max()) for clip in clips} == {1, 2, 3}


def test_a_share_of_zero_leaves_a_modality_out():
    settings = SynthesisConfig(frames=2, size=48, shares=(0.0, 0.0, 0.0, 0.0, 1.0))
    generator = SequenceGenerator(settings, seed=3)
    assert {generator.clip(index).modality for index in range(5)} == {"em"}


def test_one_object_at_most_when_asked():
    generator = SequenceGenerator(SynthesisConfig(frames=2, size=48, max_objects=1), seed=3)
    assert max(generator.clip(index).labels.max() for index in range(12)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 1}, "frames must be at least 2"),
        ({"size": 16}, "size must be at least 32"),
        ({"max_objects": 4}, "max_objects must be"),
        ({"max_gap": 0}, "max_gap must be at least 1"),
        ({"shares": (1.0, 1.0)}, "shares needs a share for each"),
        ({"correlation": (0.0, 5.0)}, "correlation must be"),
        ({"ending_share": 1.5}, "ending_share must lie between 0 and 1"),
        ({"largest_enlargement": 0.5}, "largest_enlargement must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_cannot_exist(wrong, message):
    with pytest.raises(ValueError, match=message):
        SynthesisConfig(**wrong)


def test_clips_of_one_seed_are_painted_with_many_sets_of_textures(monkeypatch):
    made = []
    monkeypatch.setattr(textures, "texture_tiles", lambda rng: made.append(texture_tiles(rng)) or made[-1])
    drawn = SequenceGenerator(SynthesisConfig(frames=2, size=32), seed=4)
    for index in range(40):
        drawn.clip(index)
    assert 12 < len(made) <= TILE_SETS
    assert not any(np.array_equal(one, other) for one, other in zip(*made[:2], strict=True))


def test_neurites_end_less_often_than_organs():
    def ended(modality: str) -> float:
        shares = tuple(float(name == modality) for name in MODALITIES)
        settings = SynthesisConfig(frames=4, size=64, shares=shares, ending_share=1, foreign_share=0)
        clips = [SequenceGenerator(settings, seed=4).clip(index) for index in range(40)]
        return float(np.mean([not mask[-1].any() for mask in masks_of(clips)]))

    assert ended("em") < 0.6 * ended("mr")
