import pickle
from dataclasses import replace

import numpy as np
import pytest

from imos_engine.intensity import automatic_intensity
from imos_engine.training.accepted.clip_source import CHANGED_WEIGHT, AcceptedClips, centre_chances, clip_frames
from imos_engine.training.accepted.clip_store import open_volume, store_volume
from imos_engine.training.clips import collate, labelled
from tests.engine.training.accepted.made import ball_volume


def stored(tmp_path, volume, name="0", **options):
    store_volume(volume, tmp_path / name, **options)
    return tmp_path / name


@pytest.fixture
def folder(tmp_path):
    return stored(tmp_path, ball_volume(0))


def clips(*folders, **options):
    return AcceptedClips(folders, **{"frames": 4, "size": 48, "seed": 0, **options})


def test_a_clip_depends_on_its_index_alone_also_in_another_process(folder):
    source = clips(folder)
    again = pickle.loads(pickle.dumps(source))
    for index in (3, 0, 3):
        one, other = source.clip(index), again.clip(index)
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert not np.array_equal(source.clip(0).frames, source.clip(1).frames)


def test_every_clip_begins_with_something_to_follow(folder):
    source = clips(folder)
    for index in range(30):
        clip = source.clip(index)
        assert clip.frames.shape == (4, 3, 48, 48)
        assert clip.labels[0].any()
        assert 0 <= clip.frames.min() <= clip.frames.max() <= 1


def test_labels_lie_on_what_they_mark(folder):
    for index in range(20):
        clip = clips(folder).clip(index)
        marked, bare = clip.frames[:, 0][clip.labels > 0], clip.frames[:, 0][clip.labels == 0]
        assert np.median(marked) > np.median(bare) + 0.3


def test_clips_are_normalised_like_the_whole_volume(tmp_path):
    volume = ball_volume(0)
    store_volume(volume, tmp_path / "v")
    kept = open_volume(tmp_path / "v")
    expected = automatic_intensity(volume.images, volume.labels > 0).apply(volume.images)
    np.testing.assert_allclose(kept.intensity.apply(kept.images), expected, atol=0.02)
    clip = clips(tmp_path / "v").clip(0)
    frames = collate([labelled(clip)]).frames[0].numpy()
    np.testing.assert_allclose(frames, kept.intensity.apply(clip.frames), atol=1e-5)


def test_slices_that_the_expert_changed_are_drawn_more_often(tmp_path):
    volume = ball_volume(0)
    changed = np.zeros(volume.labels.shape, dtype=bool)
    changed[:, :, 5] = True
    kept = open_volume(stored(tmp_path, replace(volume, changed=changed)))
    chances = centre_chances(kept, 2)
    present = volume.labels.any(axis=(0, 1))
    assert present[5]
    others = np.flatnonzero(present & (np.arange(12) != 5))
    np.testing.assert_allclose(chances[5] / chances[others], CHANGED_WEIGHT)
    assert not chances[~present].any()


def test_a_clip_of_a_drawn_slice_holds_it_and_begins_on_a_labelled_one(folder):
    kept, random = open_volume(folder), np.random.default_rng(0)
    chances = centre_chances(kept, 2)
    only = np.where(np.arange(12) == 4, 1.0, 0.0)
    for _ in range(50):
        assert 4 in clip_frames(kept, 2, only, 4, random).indices
        indices = clip_frames(kept, 2, chances, 4, random).indices
        assert chances[indices[0]] > 0
        assert np.ptp(np.sign(np.diff(indices))) <= 1


@pytest.mark.parametrize("frames", [2, 6])
def test_a_volume_shorter_than_a_clip_repeats_its_ends(tmp_path, frames):
    short = ball_volume(0, shape=(48, 48, 3))
    clip = clips(stored(tmp_path, short), frames=frames).clip(0)
    assert clip.frames.shape[0] == frames


def test_weights_and_replay_say_where_clips_come_from(tmp_path):
    rare, often = stored(tmp_path, ball_volume(0), "rare"), stored(tmp_path, ball_volume(1), "often", weight=3.0)
    source = clips(rare, often)
    drawn = [source._some_volume(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.65 < np.mean(drawn) < 0.85
    replayed = [clips(rare, replay=0.5, frames=2, size=32).clip(index).intensity is None for index in range(12)]
    assert 2 < sum(replayed) < 10
    assert all(clips(rare, frames=2, size=32).clip(index).intensity is not None for index in range(12))
