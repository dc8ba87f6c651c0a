"""Planes that cross: found from what was painted, and put together by who is surer."""

import numpy as np
import pytest

from imos_engine.propagation.crossing import (
    CarriedMask,
    annotated_planes,
    by_plane,
    distances_mm,
    surest_mask,
)

SHAPE = (40, 48, 12)
GRID = np.indices(SHAPE, dtype=float)
BALL = sum(((axis - c) / r) ** 2 for axis, c, r in zip(GRID, (22, 17, 6), (8, 6, 4), strict=True)) <= 1


def painted(*planes):
    """A ball's mask on some planes, each an axis and a slice."""
    mask = np.zeros(SHAPE, bool)
    for axis, index in planes:
        np.moveaxis(mask, axis, 0)[index] = np.moveaxis(BALL, axis, 0)[index]
    return mask


@pytest.mark.parametrize(
    ("planes", "expected"),
    [
        ([(2, 6)], {2: {6}}),
        ([(2, 2), (2, 6), (2, 7)], {2: {2, 6, 7}}),
        ([(2, 2), (2, 4), (2, 6), (2, 8)], {2: {2, 4, 6, 8}}),
        ([(2, index) for index in range(12)], {2: set(range(2, 11))}),
        ([(2, 6), (0, 22)], {2: {6}, 0: {22}}),
        ([(2, 4), (2, 8), (1, 17)], {2: {4, 8}, 1: {17}}),
        ([(2, 4), (2, 8), (0, 20), (1, 17)], {2: {4, 8}, 0: {20}, 1: {17}}),
    ],
)
def test_planes_that_were_painted_are_told_from_planes_that_are_merely_crossed(planes, expected):
    found = annotated_planes(painted(*planes), 2)
    assert found == {axis: frozenset(slices) for axis, slices in expected.items()}


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_order_of_the_axes_does_not_matter(axes):
    turned = painted((2, 6), (0, 22)).transpose(axes)
    along = {axes.index(2): frozenset({6}), axes.index(0): frozenset({22})}
    assert annotated_planes(turned, axes.index(2)) == along


def test_nothing_painted_is_on_no_plane():
    assert annotated_planes(np.zeros(SHAPE, bool), 1) == {1: frozenset()}


def test_the_surer_axis_counts_voxel_by_voxel_and_of_equals_the_nearer_one():
    random = np.random.default_rng(0)
    shape = (4, 5, 6)
    carried = [
        CarriedMask(
            axis=axis,
            mask=random.random(shape) > 0.5,
            confidence=random.choice([-1.0, 0.5, 0.9], shape[axis]),
            distance_mm=random.choice([0.0, 2.0, np.inf], shape[axis]),
        )
        for axis in (2, 0, 1)
    ]
    found = surest_mask(carried)
    for voxel in np.ndindex(shape):
        best = min(carried, key=lambda one: (-one.confidence[voxel[one.axis]], one.distance_mm[voxel[one.axis]]))
        assert found[voxel] == best.mask[voxel]


def test_one_axis_alone_is_not_changed_and_not_shared():
    mask = np.random.default_rng(0).random((3, 4, 5)) > 0.5
    alone = CarriedMask(axis=1, mask=mask, confidence=np.full(4, -1.0), distance_mm=np.zeros(4))
    found = surest_mask([alone])
    np.testing.assert_array_equal(found, mask)
    assert found is not mask


def test_distances_are_to_the_nearest_annotated_plane():
    np.testing.assert_array_equal(distances_mm([1, 4], 6, 2.5), [2.5, 0, 2.5, 2.5, 0, 2.5])
    assert np.isinf(distances_mm([], 3, 1.0)).all()


def test_planes_without_a_number_are_below_every_number():
    np.testing.assert_array_equal(by_plane({1: 0.0, 3: 0.5}, 4), [-1, 0, -1, 0.5])
