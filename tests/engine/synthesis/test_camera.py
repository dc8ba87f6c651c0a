"""What the camera does to a picture."""

import numpy as np
import pytest

from imos_engine.synthesis.camera import refilter


def bright_square(*, colour: bool) -> np.ndarray:
    frames = np.full((4, 48, 48), 0.3, np.float32)
    frames[:, 12:36, 12:36] = 0.7
    return np.repeat(frames[..., None], 3, axis=3) if colour else frames


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_random_filter_is_the_same_on_every_frame_and_keeps_brightness_contrast_and_place(seed, colour):
    frames = bright_square(colour=colour)
    seen = refilter(np.random.default_rng(seed), frames)
    assert seen.shape == frames.shape
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, np.broadcast_to(seen[:1], seen.shape), atol=1e-6)
    assert float(seen.mean()) == pytest.approx(float(frames.mean()), abs=0.02)
    assert 0.15 * frames.std() < seen.std() < 1.5 * frames.std()
    for flat in (seen[:, 18:30, 18:30], seen[:, :6, :6]):  # nothing new appears where nothing was
        assert float(np.ptp(flat, axis=(1, 2)).max()) < 1e-3


def test_two_filters_differ():
    frames = bright_square(colour=False)
    one, other = (refilter(np.random.default_rng(seed), frames) for seed in (0, 1))
    assert not np.allclose(one, other, atol=0.01)
