"""Smooth random functions: unit variance, slow along the sequence, attached to the tissue."""

import numpy as np
import pytest

from imos_engine.synthesis.fields import Coordinates, slow_paths, smooth_field, spline_weights
from imos_engine.synthesis.motion import Motion, moving_coordinates, still_coordinates


def test_spline_weights_sum_to_1_and_shift_with_the_knots():
    positions = np.linspace(0, 20, 41, dtype=np.float32)
    weights = spline_weights(positions, 5.0)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(weights[10, 1:], weights[0, :-1], atol=1e-6)  # position 5 is one knot later


def test_slow_paths_have_about_unit_variance():
    paths = slow_paths(np.random.default_rng(0), np.arange(8, dtype=np.float32), 20.0, 4000)
    assert paths.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("correlation", [12.0, 50.0])
def test_paths_change_little_within_a_tenth_of_their_correlation_length_and_much_beyond_it(correlation):
    positions = np.array([0, correlation / 10, 2 * correlation], np.float32)
    paths = slow_paths(np.random.default_rng(0), positions, correlation, 4000)
    assert np.abs(paths[1] - paths[0]).mean() < 0.25
    assert abs(np.corrcoef(paths[0], paths[2])[0, 1]) < 0.3


def test_a_field_sticks_to_the_tissue():
    still = still_coordinates(np.zeros(2, np.float32), 64)
    x = still.x.copy()
    x[1] += 8 / 64
    field = smooth_field(
        np.random.default_rng(0), Coordinates(x=x, y=still.y, positions=still.positions), correlation=20, wavelength=0.3
    )
    np.testing.assert_allclose(field[1, :, 1:-9], field[0, :, 9:-1], atol=1e-4)


def test_without_motion_every_frame_shows_the_same_place():
    coordinates = moving_coordinates(
        np.random.default_rng(0), np.arange(4, dtype=np.float32), 32, Motion(correlation=20)
    )
    np.testing.assert_allclose(coordinates.x, np.broadcast_to(coordinates.x[:1], coordinates.x.shape), atol=1e-6)
    np.testing.assert_allclose(coordinates.y, np.broadcast_to(coordinates.y[:1], coordinates.y.shape), atol=1e-6)
