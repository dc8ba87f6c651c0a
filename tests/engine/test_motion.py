"""Optical flow finds known motion, in the direction in which masks are carried."""

import cv2
import numpy as np
import pytest
import torch

from imos_engine import motion
from imos_engine.motion import FlowEstimator, follow, grey_bytes


def textured(height: int = 96, width: int = 128) -> np.ndarray:
    noise = np.random.default_rng(0).random((height, width), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def test_a_shift_is_found_and_followed_back():
    neighbour = textured()
    current = np.roll(neighbour, (3, 6), (0, 1))
    flow = FlowEstimator().origin(current, neighbour)
    inner = flow[:, 16:-16, 16:-16]
    np.testing.assert_allclose(inner.mean((1, 2)), [-6, -3], atol=0.3)
    planes = torch.from_numpy(neighbour).float()[None, None]
    moved = follow(planes, torch.from_numpy(flow)[None])[0, 0].numpy()
    unexplained = np.abs(moved - current)[16:-16, 16:-16].mean()
    assert unexplained < 0.1 * np.abs(neighbour.astype(float) - current)[16:-16, 16:-16].mean()


@pytest.mark.parametrize("jump", [(35, 50), (-40, 0), (0, 60)])  # rows and columns, of 200 x 240
def test_a_jump_of_the_whole_picture_is_found(jump):
    scene = textured(400, 480)
    neighbour = scene[100:300, 120:360]
    current = scene[100 + jump[0] : 300 + jump[0], 120 + jump[1] : 360 + jump[1]]
    flow = FlowEstimator().origin(np.ascontiguousarray(current), np.ascontiguousarray(neighbour))
    np.testing.assert_allclose(np.median(flow, axis=(1, 2)), jump[::-1], atol=0.5)


def test_a_jump_that_explains_less_is_not_believed(monkeypatch):
    neighbour = textured()
    current = np.roll(neighbour, (3, 6), (0, 1))
    expected = FlowEstimator().origin(current, neighbour)
    monkeypatch.setattr(motion, "_common_motion", lambda *frames: (40.0, -30.0))
    np.testing.assert_array_equal(FlowEstimator().origin(current, neighbour), expected)


def test_a_frame_of_a_few_pixels_does_not_move():
    tiny = np.random.default_rng(0).integers(0, 255, (8, 20), dtype=np.uint8)
    assert not FlowEstimator().origin(tiny, tiny[:, ::-1].copy()).any()


def test_no_flow_moves_nothing():
    planes = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(follow(planes, torch.zeros(2, 2, 20, 24)), planes)


def test_grey_bytes_keep_the_order_of_brightness_and_clip_extremes():
    frames = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])[None, None, None].expand(1, 3, 1, 5)
    shown = grey_bytes(frames)[0, 0].astype(int).tolist()
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (0, 255)
