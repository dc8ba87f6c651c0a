from dataclasses import replace

import numpy as np
import pytest
import torch

from imos_engine.intensity import robust_intensity
from imos_engine.synthesis import SyntheticClip
from imos_engine.training import Phase
from imos_engine.training.augmentation import LabelledClip, augmented, with_some_objects
from imos_engine.training.batches import batches_from
from imos_engine.training.clips import ClipBatches, collate, labelled

from .conftest import MovingSquares

PHASE = Phase(steps=10, frames=3, size=32, batch=2)


def dataset(phase_index=0, seed=7):
    return ClipBatches(MovingSquares(frames=3, size=32, seed=seed), PHASE, phase_index=phase_index, seed=seed)


def equal(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("frames", "masks", "valid"))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_batch_of_a_step_is_the_same_whichever_step_came_first(workers):
    from_zero, from_two = iter(batches_from(dataset(), 0, workers=workers)), iter(batches_from(dataset(), 2, workers=0))
    uninterrupted = [next(from_zero) for _ in range(4)]
    assert equal(uninterrupted[2], next(from_two))
    assert equal(uninterrupted[3], next(from_two))
    assert not torch.equal(uninterrupted[0].frames, uninterrupted[1].frames)


def test_phases_and_seeds_see_different_clips():
    first = dataset()[0].frames
    assert not torch.equal(first, dataset(phase_index=1)[0].frames)
    assert not torch.equal(first, dataset(seed=8)[0].frames)


def test_frames_are_normalised_as_in_propagation():
    clip = MovingSquares(frames=3, size=32, seed=1).clip(1)
    batch = collate([clip])
    expected = robust_intensity(clip.frames).apply(clip.frames)
    torch.testing.assert_close(batch.frames[0], torch.from_numpy(expected))
    assert abs(float(batch.frames.mean())) < 0.01


def test_a_clip_with_fewer_objects_is_padded_and_says_so():
    source = MovingSquares(frames=3, size=32, seed=1)
    batch = collate([source.clip(0), source.clip(1)])
    assert batch.masks.shape == (2, 3, 2, 32, 32)
    assert batch.valid.tolist() == [[True, False], [True, True]]
    assert not batch.masks[0, :, 1].any()


def test_objects_that_are_not_chosen_become_background_but_stay_visible():
    clip = MovingSquares(frames=3, size=32, seed=1).clip(1)
    chosen = with_some_objects(clip, 1, np.random.default_rng(0))
    assert chosen.frames is clip.frames
    assert np.unique(chosen.labels).tolist() == [0, 1]
    assert any(np.array_equal(chosen.labels == 1, clip.labels == number) for number in (1, 2))


def test_an_object_that_only_appears_later_is_background():
    clip = MovingSquares(frames=3, size=32, seed=1).clip(1)
    clip.labels[0][clip.labels[0] == 2] = 0
    assert np.unique(with_some_objects(clip, 3, np.random.default_rng(0)).labels).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(8))
def test_augmentation_moves_frames_and_labels_together(seed):
    clip = MovingSquares(frames=3, size=32, seed=1).clip(0)
    painted = LabelledClip(frames=np.repeat(clip.labels[:, None], 3, axis=1).astype(np.float32), labels=clip.labels)
    changed = augmented(painted, np.random.default_rng(seed))
    np.testing.assert_allclose(changed.frames[:, 0], changed.labels, atol=1e-6)


def test_a_clip_is_not_reversed_when_its_last_frame_shows_nothing():
    clip = MovingSquares(frames=3, size=32, seed=1).clip(0)
    clip.labels[2] = 0
    assert all(augmented(clip, np.random.default_rng(seed)).labels[0].any() for seed in range(20))


@pytest.mark.parametrize(("tapers", "expected"), [(True, 0.92), (False, 0.5)])
def test_objects_that_taper_are_mostly_marked_where_they_are_larger(tapers, expected):
    clip = MovingSquares(frames=3, size=32, seed=1).clip(0)
    clip.labels[2] = 0
    clip.labels[2, :2, :2] = 1
    larger_last = replace(clip, labels=clip.labels[::-1], tapers=tapers)
    drawn = [augmented(larger_last, np.random.default_rng(seed)).labels for seed in range(400)]
    first = np.mean([np.count_nonzero(labels[0]) > np.count_nonzero(labels[2]) for labels in drawn])
    assert first == pytest.approx(expected, abs=0.07)


def test_a_random_clip_says_whether_its_objects_taper():
    made = SyntheticClip(frames=np.zeros((2, 3, 4, 4), np.float32), labels=np.zeros((2, 4, 4), np.uint8), modality="ct")
    assert labelled(made).tapers
    assert not labelled(replace(made, modality="em")).tapers
