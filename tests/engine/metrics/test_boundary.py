from __future__ import annotations

import math

import numpy as np
import pytest

from imos_engine.metrics import boundary_accuracy
from imos_engine.metrics.boundary import boundary_pixels, tolerance_pixels


def disk(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def naive_outline(mask: np.ndarray) -> list[tuple[int, int]]:
    height, width = mask.shape
    outline = []
    for row in range(height):
        for column in range(width):
            neighbours = [(row, column + 1), (row + 1, column), (row + 1, column + 1)]
            clipped = [(min(y, height - 1), min(x, width - 1)) for y, x in neighbours]
            if any(mask[other] != mask[row, column] for other in clipped):
                outline.append((row, column))
    return outline


def naive_accuracy(prediction: np.ndarray, truth: np.ndarray) -> float:
    radius = math.ceil(0.008 * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    first, second = naive_outline(prediction), naive_outline(truth)

    def share(outline: list[tuple[int, int]], other: list[tuple[int, int]]) -> float:
        return sum(any(math.dist(pixel, near) <= radius for near in other) for pixel in outline) / len(outline)

    precision, recall = share(first, second), share(second, first)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(("offset", "radius"), [((0, 0), 9), ((2, 1), 9), ((3, 3), 7), ((0, 6), 12)])
def test_boundary_accuracy_matches_its_definition(offset, radius):
    truth = disk((40, 50), (20, 22), 9)
    prediction = disk((40, 50), (20 + offset[0], 22 + offset[1]), radius)
    assert boundary_accuracy(prediction, truth) == pytest.approx(naive_accuracy(prediction, truth))


def test_boundary_accuracy_matches_its_definition_at_the_image_border():
    truth, prediction = disk((40, 50), (3, 45), 11), disk((40, 50), (4, 47), 9)
    assert boundary_accuracy(prediction, truth) == pytest.approx(naive_accuracy(prediction, truth))


def test_outline_of_a_small_square_can_be_drawn_by_hand():
    square = np.zeros((5, 5), bool)
    square[2:4, 2:4] = True
    drawn = ["     ", " ### ", " # # ", " ### ", "     "]
    assert boundary_pixels(square).tolist() == [[pixel == "#" for pixel in row] for row in drawn]


def test_a_shift_within_the_tolerance_costs_nothing_and_beyond_it_costs():
    shape = (128, 128)
    assert tolerance_pixels(shape) == 2
    truth = disk(shape, (64, 64), 30)
    assert boundary_accuracy(disk(shape, (64, 66), 30), truth) == 1
    assert boundary_accuracy(disk(shape, (64, 70), 30), truth) < 0.7


def test_the_tolerance_is_a_share_of_the_whole_image_not_of_the_object():
    small, large = np.zeros((64, 64), bool), np.zeros((512, 512), bool)
    small[20:30, 20:30] = large[20:30, 20:30] = True
    shifted_small, shifted_large = np.roll(small, 4, axis=1), np.roll(large, 4, axis=1)
    assert boundary_accuracy(shifted_small, small) < 1
    assert boundary_accuracy(shifted_large, large) == 1


def test_masks_without_outline_agree_only_with_each_other():
    nothing, everything = np.zeros((20, 20), bool), np.ones((20, 20), bool)
    square = nothing.copy()
    square[5:9, 5:9] = True
    assert boundary_accuracy(nothing, nothing) == boundary_accuracy(everything, everything) == 1
    assert boundary_accuracy(square, nothing) == boundary_accuracy(nothing, square) == 0
    assert boundary_accuracy(everything, square) == 0


def test_outlines_far_apart_score_zero():
    first, second = disk((60, 60), (10, 10), 4), disk((60, 60), (50, 50), 4)
    assert boundary_accuracy(first, second) == 0


def test_a_volume_is_refused():
    with pytest.raises(ValueError, match="two \\(H, W\\) masks"):
        boundary_accuracy(np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool))
