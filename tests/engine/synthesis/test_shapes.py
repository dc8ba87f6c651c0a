"""Shapes and partitions do what their parameters say."""

import numpy as np
import pytest

from imos_engine.synthesis.fields import Coordinates
from imos_engine.synthesis.motion import still_coordinates
from imos_engine.synthesis.shapes import Course, blob, cell_centres, cells, rod

STILL = Course(drift=0, spin=0, swelling=0)


@pytest.fixture
def at() -> Coordinates:
    return still_coordinates(np.arange(0, 40, 4, dtype=np.float32), 96)


def draw(at: Coordinates, course: Course, radius: float = 0.2, elongation: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return blob(rng, at, centre=(0.5, 0.5), radius=radius, elongation=elongation, course=course) < 1


@pytest.mark.parametrize("elongation", [1.0, 3.0])
def test_a_still_blob_has_the_area_of_its_radius_whatever_its_elongation(at, elongation):
    inside = draw(at, STILL, elongation=elongation)
    np.testing.assert_allclose(inside.mean((1, 2)), np.pi * 0.2**2, rtol=0.03)


def test_a_blob_with_a_half_length_ends_there(at):
    inside = draw(at, Course(drift=0, spin=0, swelling=0, middle=0, half_length=18))
    areas = inside.sum((1, 2))
    assert (np.diff(areas[:5]) < 0).all()
    assert areas[at.positions < 18].all()
    assert not areas[at.positions > 18].any()


def test_a_rod_reaches_the_border_it_points_to_and_no_other(at):
    level, across, _ = rod(np.random.default_rng(0), at, centre=(0.5, 0.5), angle=0.0, width=0.1, course=STILL)
    inside = level < 1
    assert inside[:, :, -1].any()
    assert not inside[:, :, 0].any()
    assert not inside[:, [0, -1]].any()
    assert np.abs(across[inside]).max() <= 1


def test_a_partition_has_many_cells_that_change_slowly(at):
    flat = np.zeros_like(at.x)
    centres = cell_centres(np.random.default_rng(0), at.positions, 30, 60.0)
    partition = cells(np.random.default_rng(0), at, centres=centres, depth=60.0, sway=(flat, flat))
    assert partition.max() < 30
    assert 8 < len(np.unique(partition[0])) <= 30
    same = (partition[1:] == partition[:-1]).mean()
    assert 0.7 < same < 1
