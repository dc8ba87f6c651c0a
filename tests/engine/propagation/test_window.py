"""Windows around objects: they hold what they follow, fill the network's grid, and move no more than they must."""

import numpy as np
import pytest
import torch

from imos_engine.propagation.grouping import grouped
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.propagation.window import Windows, extent_of, extent_on

WINDOWS = Windows((512, 400), 192, 2.5)


def test_the_extent_of_a_mask_is_the_smallest_box_and_of_nothing_none():
    mask = np.zeros((30, 40), dtype=bool)
    assert extent_of(mask) is None
    mask[4, 7] = mask[9, 30] = True
    assert extent_of(mask) == Box(4, 7, 6, 24)


@pytest.mark.parametrize("extent", [Box(250, 200, 20, 20), Box(0, 0, 12, 30), Box(505, 390, 7, 10), Box(100, 5, 60, 9)])
def test_a_window_lies_in_the_frame_around_its_objects_and_shows_them_large(extent):
    grid = WINDOWS.around(extent)
    box = grid.box
    assert box.joined(Box.whole((512, 400))) == Box.whole((512, 400))
    assert box.joined(extent) == box
    longest = max(extent.height, extent.width)
    assert 2.4 * longest <= max(box.height, box.width) <= max(24, 2.5 * 1.3 * longest)
    assert np.prod(grid.inner_size) == pytest.approx(192**2, rel=0.05)


@pytest.mark.parametrize("extent", [None, Box(50, 50, 300, 250)])
def test_without_objects_or_around_large_ones_the_window_is_the_whole_frame(extent):
    assert WINDOWS.around(extent).box == Box.whole((512, 400))
    assert Windows((512, 400), 192, None).around(Box(5, 5, 9, 9)).box == Box.whole((512, 400))


def test_a_window_stays_while_its_object_stays_and_follows_when_it_leaves_or_grows():
    extent = Box(250, 200, 40, 40)
    grid = WINDOWS.around(extent)
    assert WINDOWS.following(grid, Box(255, 192, 42, 38)) == grid
    assert WINDOWS.following(grid, None) == grid
    away = Box(290, 240, 40, 40)
    assert WINDOWS.following(grid, away).box.joined(away) == WINDOWS.following(grid, away).box != grid.box
    grown = Box(220, 170, 100, 100)
    assert WINDOWS.following(grid, grown).box.height > 1.4 * grid.box.height
    shrunk = Box(265, 215, 9, 9)
    assert WINDOWS.following(grid, shrunk).box.height < grid.box.height


@pytest.mark.parametrize("box", [Box(0, 0, 50, 70), Box(13, 20, 30, 31)])
@pytest.mark.parametrize("stride", [1, 16])
def test_positions_in_the_frame_and_indices_on_the_grid_are_inverse(box, stride):
    grid = FrameGrid.fit(box, 60)
    positions = grid.positions(torch.device("cpu"), stride=stride)
    height, width = (side // stride for side in grid.padded_size)
    assert positions.shape == (2, height, width)
    indices = grid.indices(positions, stride=stride)
    torch.testing.assert_close(indices[0], torch.arange(width).expand(height, width).float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        indices[1], torch.arange(height)[:, None].expand(height, width).float(), atol=1e-3, rtol=0
    )


def test_positions_are_where_shrinking_takes_its_pixels_from():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    grid = FrameGrid.fit(Box(10, 20, 32, 40), 48)
    left, right, top, bottom = grid.padding
    seen = grid.shrink(torch.stack((columns, rows)))
    inner = (slice(None), slice(top + 3, -bottom - 3 or -3), slice(left + 3, -right - 3 or -3))
    torch.testing.assert_close(seen[inner], grid.positions(torch.device("cpu"))[inner], atol=0.02, rtol=0)


def test_what_is_found_on_a_grid_is_located_in_the_frame():
    mask = torch.zeros(1, 200, 200)
    mask[:, 60:90, 70:130] = 1
    grid = FrameGrid.fit(Box(40, 50, 100, 100), 64)
    found = extent_on(grid, grid.shrink(mask))
    assert found is not None
    for side, expected in zip((found.top, found.left, found.bottom, found.right), (60, 70, 90, 130), strict=True):
        assert abs(side - expected) <= 2


def test_near_objects_of_like_size_share_a_window_and_others_do_not():
    near, beside, small, far, later = (
        Box(100, 100, 50, 50), Box(102, 104, 48, 50), Box(120, 120, 6, 6), Box(400, 300, 50, 50), Box(100, 100, 50, 50)
    )  # fmt: skip
    extents = {1: {5: near}, 2: {5: beside}, 3: {5: small}, 4: {5: far}, 5: {9: later}}
    assert sorted(grouped(extents, WINDOWS)) == [[1, 2], [3], [4], [5]]
    assert grouped(extents, Windows((512, 400), 192, None)) == [[1, 2, 3, 4, 5]]


def test_a_window_grows_by_little_from_one_frame_to_the_next():
    windows = Windows(frame_size=(400, 400), size=96, factor=2.5)
    small = windows.around(Box(190, 190, 20, 20))
    wide = windows.following(small, Box(100, 100, 200, 200))
    assert small.box.height < wide.box.height <= small.box.height * 1.6
    for _ in range(6):
        wide = windows.following(wide, Box(100, 100, 200, 200))
    assert wide == windows.whole


def test_a_window_like_another_has_its_pixels_and_its_width():
    windows = Windows(frame_size=(400, 400), size=96, factor=2.5)
    wide, extent = windows.around(Box(150, 150, 80, 80)), Box(40, 300, 20, 20)
    alike = windows.like(wide, extent)
    assert (alike.box.height, alike.inner_size) == (wide.box.height, wide.inner_size)
    assert alike.box.joined(extent) == alike.box
    narrow = windows.around(extent)
    own = windows.like(narrow, Box(150, 150, 80, 80))
    assert own.box.height / own.inner_size[0] == pytest.approx(narrow.box.height / narrow.inner_size[0], rel=0.02)
    assert own.box.height >= 80
