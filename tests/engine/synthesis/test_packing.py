"""Cells fill the frame, run through the slices and hold their organelles."""

import cv2
import numpy as np
import pytest

from imos_engine.synthesis.anatomy import Anatomy, Kind, blank
from imos_engine.synthesis.motion import still_coordinates
from imos_engine.synthesis.packing import interior, joined, paint_organelles, paint_packing, walk
from imos_engine.synthesis.shapes import cell_centres
from imos_engine.synthesis.skeleton import paint_bone, paint_ribs, paint_vertebra
from imos_engine.synthesis.vessels import paint_tree

POSITIONS = np.arange(0, 12, 2, dtype=np.float32)


@pytest.fixture
def scene() -> Anatomy:
    return blank(np.random.default_rng(0), still_coordinates(POSITIONS, 64), tempo=20.0)


def test_every_pixel_belongs_to_one_cell_and_every_cell_is_an_object(scene):
    paint_packing(np.random.default_rng(1), scene, count=60, depth=80.0, sway=0.03)
    assert scene.regions.max() < len(scene.kinds)
    assert {region for group in scene.objects for region in group} == set(range(len(scene.kinds)))
    assert len(np.unique(scene.regions)) > 8


def test_joined_pieces_make_fewer_cells_named_by_one_of_their_own():
    centres = cell_centres(np.random.default_rng(0), POSITIONS, 100, 80.0)
    counts = []
    for seed in range(10):
        partners = joined(np.random.default_rng(seed), centres)
        assert (partners >= 0).all()
        np.testing.assert_array_equal(partners[partners], partners)
        counts.append(len(np.unique(partners)))
    assert min(counts) < 60


def test_a_walk_takes_only_free_pieces():
    centres = cell_centres(np.random.default_rng(0), POSITIONS, 40, 80.0)
    partners = np.full(40, -1)
    partners[20:] = 20
    walk(np.random.default_rng(0), centres, partners, 0, 10)
    assert (partners[20:] == 20).all()
    assert (partners[:20] == 0).sum() > 1


def test_organelles_lie_inside_one_cell_and_belong_to_it(scene):
    rng = np.random.default_rng(2)
    paint_packing(rng, scene, count=20, depth=80.0, sway=0.03)
    hosts, whole = list(scene.objects), scene.regions.copy()
    paint_organelles(rng, scene, 12)
    organelles = [region for region, kind in enumerate(scene.kinds) if kind is Kind.ORGANELLE]
    assert 6 <= len(organelles) <= 12  # a place inside another organelle stays free
    for (host,), group in zip(hosts, scene.objects, strict=False):
        np.testing.assert_array_equal(np.isin(scene.regions, group), whole == host)
    assert np.isin(scene.regions, organelles).any()


def test_the_interior_keeps_away_from_the_border_of_a_mask():
    mask = np.zeros((1, 20, 20), bool)
    mask[:, 4:16, 4:16] = True
    expected = np.zeros_like(mask)
    expected[:, 6:14, 6:14] = True
    np.testing.assert_array_equal(interior(mask, 2), expected)


def test_a_hard_layer_separates_marrow_from_what_lies_outside(scene):
    paint_bone(np.random.default_rng(0), scene, np.hypot(scene.at.x - 0.5, scene.at.y - 0.5) / np.float32(0.3))
    assert scene.kinds[1:] == [Kind.BONE, Kind.MARROW]
    assert scene.objects[0] == (1, 2)
    for frame in scene.regions:
        around = cv2.dilate((frame == 2).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert set(np.unique(frame[around])) == {1, 2}


def test_a_vertebra_has_a_canal_in_its_arch(scene):
    paint_vertebra(np.random.default_rng(4), scene, (0.5, 0.5), 0.15)
    assert scene.kinds[-1] is Kind.TISSUE
    assert scene.objects[-1] == (len(scene.kinds) - 1,)


def test_ribs_of_one_row_are_several_objects_that_move(scene):
    for seed in range(5):
        paint_ribs(np.random.default_rng(seed), scene)
    assert len(scene.objects) >= 10
    moving = [np.isin(scene.regions, group) for group in scene.objects]
    assert any((mask[0] != mask[-1]).any() for mask in moving if mask[0].any())


def test_a_vessel_tree_branches_or_joins_along_the_slices():
    changes = []
    for seed in range(12):
        scene = blank(np.random.default_rng(seed), still_coordinates(POSITIONS, 64), tempo=20.0)
        paint_tree(np.random.default_rng(seed), scene, (0.5, 0.5), 0.08)
        parts = [cv2.connectedComponents((frame > 0).astype(np.uint8))[0] - 1 for frame in scene.regions]
        assert min(parts) >= 1
        changes.append(parts[-1] - parts[0])
    assert min(changes) < 0 < max(changes)
