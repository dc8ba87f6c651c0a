from __future__ import annotations

import pytest
import torch

from imos_engine.propagation.resizing import Box, FrameGrid

SIZES = [(37, 53), (64, 64), (16, 200), (301, 17), (1, 40), (512, 512)]


def disc(size: tuple[int, int]) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1]), indexing="ij")
    return (rows**2 + columns**2 < 0.5).float()[None]


@pytest.mark.parametrize("frame_size", SIZES)
@pytest.mark.parametrize("size", [None, 32, 100])
def test_the_network_sees_multiples_of_its_stride_and_nothing_is_cut_off(frame_size, size):
    grid = FrameGrid.fit(Box.whole(frame_size), size)
    assert all(length % 16 == 0 for length in grid.padded_size)
    assert all(0 <= outer - inner < 16 for outer, inner in zip(grid.padded_size, grid.inner_size, strict=True))


@pytest.mark.parametrize("frame_size", [(37, 53), (64, 64), (120, 300), (512, 512)])
def test_frames_are_resized_to_the_area_asked_for_in_their_own_proportions(frame_size):
    height, width = FrameGrid.fit(Box.whole(frame_size), 100).inner_size
    assert height * width == pytest.approx(100**2, rel=0.02)
    assert height / width == pytest.approx(frame_size[0] / frame_size[1], rel=0.03)


def test_padding_is_even_with_the_smaller_half_first():
    grid = FrameGrid.fit(Box.whole((37, 52)), None)
    assert grid.padded_size == (48, 64)
    assert grid.padding == (6, 6, 5, 6)


@pytest.mark.parametrize("frame_size", SIZES)
def test_without_resizing_the_round_trip_is_the_identity(frame_size):
    grid = FrameGrid.fit(Box.whole(frame_size), None)
    planes = torch.rand(2, *frame_size)
    assert torch.equal(grid.restore(grid.shrink(planes)), planes)


@pytest.mark.parametrize("frame_size", [(37, 53), (64, 64), (150, 90), (256, 256)])
@pytest.mark.parametrize("size", [48, 96, 200])
def test_a_mask_survives_the_round_trip(frame_size, size):
    grid, mask = FrameGrid.fit(Box.whole(frame_size), size), disc(frame_size)
    returned = grid.restore(grid.shrink(mask)) > 0.5
    overlap = (returned & (mask > 0)).sum() / (returned | (mask > 0)).sum()
    assert overlap > 0.9


@pytest.mark.parametrize("size", [None, 48])
def test_leading_dimensions_are_left_alone(size):
    grid, planes = FrameGrid.fit(Box.whole((37, 53)), size), torch.rand(2, 3, 37, 53)
    shrunk = grid.shrink(planes)
    assert shrunk.shape == (2, 3, *grid.padded_size)
    torch.testing.assert_close(shrunk[1, 2], grid.shrink(planes[1, 2]))


@pytest.mark.parametrize("size", [32, 100])
def test_a_constant_stays_constant_inside_the_padding(size):
    grid = FrameGrid.fit(Box.whole((40, 60)), size)
    restored = grid.restore(grid.shrink(torch.full((1, 40, 60), 0.7)))
    torch.testing.assert_close(restored, torch.full((1, 40, 60), 0.7))
