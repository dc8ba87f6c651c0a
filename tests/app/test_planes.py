"""Seeds of any view: carried across their own plane, and put together where planes cross.

The network of these tests fills its window on every slice that it is carried to.
"""

import numpy as np
import pytest

from tests.app.images import BALL, CENTRE, SHAPE
from tests.app.sessions import Session, changed_slices, seeds_of, square


def painted(*planes):
    """The ball's mask on some planes, each an axis and a slice."""
    labels = np.zeros(SHAPE, np.uint8)
    for axis, index in planes:
        np.moveaxis(labels, axis, 0)[index] = np.moveaxis(BALL, axis, 0)[index]
    return labels


def on_plane(volume, axis, index):
    return np.moveaxis(volume, axis, 0)[index]


@pytest.fixture
def session(server):
    """A client of whom the server knows nothing yet."""
    return Session(server)


@pytest.mark.parametrize("axis", [0, 1])
def test_slices_of_another_view_are_carried_across_it(session, label_file, axis):
    seeds = painted((axis, CENTRE[axis] - 2), (axis, CENTRE[axis] + 3))
    labels, imos = session.send(label=label_file(seeds))
    assert seeds_of(imos) == [(axis, CENTRE[axis] - 2, "mask"), (axis, CENTRE[axis] + 3, "mask")]
    for index in range(SHAPE[axis]):
        plane, given = on_plane(labels, axis, index), on_plane(seeds, axis, index)
        if given.any():
            np.testing.assert_array_equal(plane, given)
        else:
            assert plane.any()


@pytest.mark.parametrize(
    "planes", [[(2, 6), (0, 22)], [(2, 4), (2, 8), (1, 17)], [(0, 20), (1, 17), (2, 6)]], ids=["two", "axes", "three"]
)
def test_what_was_painted_on_crossing_planes_comes_back_exactly(session, label_file, planes):
    seeds = painted(*planes)
    labels, imos = session.send(label=label_file(seeds))
    assert seeds_of(imos) == sorted((axis, index, "mask") for axis, index in planes)
    for axis, index in planes:
        np.testing.assert_array_equal(on_plane(labels, axis, index), on_plane(seeds, axis, index))
    assert (labels > 0).sum() > 2 * (seeds > 0).sum()


def test_a_session_may_go_on_in_another_view_and_every_seed_keeps_its_own(session, label_file):
    session.send(label=label_file(painted((2, 6))))
    labels, imos = session.send(label=label_file(painted((0, 22))))
    assert seeds_of(imos) == [(0, 22, "mask"), (2, 6, "mask")]
    for axis, index in ((0, 22), (2, 6)):
        np.testing.assert_array_equal(on_plane(labels, axis, index), on_plane(painted((0, 22), (2, 6)), axis, index))
    corrected, imos = session.send(label=label_file(square(9)))
    assert seeds_of(imos) == [(0, 22, "mask"), (2, 6, "mask"), (2, 9, "mask")]
    assert imos["recomputed"] == {"label_1": [7, 11]}
    assert set(changed_slices(labels, corrected)) <= set(range(7, 12))
    np.testing.assert_array_equal(corrected[..., 9], square(9)[..., 9])


def test_where_a_new_painting_contradicts_an_older_one_the_new_one_counts(session, label_file):
    session.send(label=label_file(painted((2, 6))))
    across = square(22, axis=0, low=20, high=40)
    labels, _ = session.send(label=label_file(across))
    np.testing.assert_array_equal(labels[22], across[22])
    rest = np.arange(SHAPE[0]) != 22
    np.testing.assert_array_equal(labels[rest][..., 6], painted((2, 6))[rest][..., 6])


def test_a_single_click_goes_on_along_the_sessions_axis(session, label_file):
    session.send(label=label_file(painted((0, 22))))
    _, imos = session.send(foreground={"label_1": [[12, 17, 6]]})
    assert [(axis, index) for axis, index, _ in seeds_of(imos)] == [(0, 12), (0, 22)]


def test_the_axis_can_be_forced(session, label_file):
    _, imos = session.send(label=label_file(painted((2, 6))), slice_axis=1)
    touched = np.flatnonzero(BALL[..., 6].any(axis=0)).tolist()
    assert [(axis, index) for axis, index, _ in seeds_of(imos)] == [(1, index) for index in touched]


def test_points_above_each_other_are_seeds_of_the_slices_that_they_were_placed_on(session):
    i, j, k = CENTRE
    _, imos = session.send(foreground=[[i, j, k - 1], [i, j, k + 2]])
    assert seeds_of(imos) == [(2, k - 1, "points"), (2, k + 2, "points")]


def test_points_all_over_one_plane_of_another_view_are_a_seed_of_that_view(session):
    i, j, k = CENTRE
    _, imos = session.send(foreground=[[i, j, k - 1], [i, j + 3, k + 1], [i, j - 2, k]])
    assert seeds_of(imos) == [(0, i, "points")]
