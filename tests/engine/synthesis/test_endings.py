"""Objects end where they should, and what surrounds them grows into their place."""

import numpy as np
import pytest

from imos_engine.synthesis.anatomy import Anatomy, Kind, blank
from imos_engine.synthesis.endings import end_objects, kept_shares, nearest_outside, shrink
from imos_engine.synthesis.motion import still_coordinates


def square(rows: slice, columns: slice, frames: int = 6) -> np.ndarray:
    inside = np.zeros((frames, 48, 48), bool)
    inside[:, rows, columns] = True
    return inside


@pytest.fixture
def scene() -> Anatomy:
    """A square (1), a look-alike elsewhere (2), tissue (0) around, and a border outside the field of view (3)."""
    scene = blank(np.random.default_rng(0), still_coordinates(np.arange(6, dtype=np.float32), 48), tempo=20.0)
    scene.paint(square(slice(10, 26), slice(10, 26)), Kind.TISSUE)
    scene.paint(square(slice(34, 44), slice(30, 44)), Kind.TISSUE)
    scene.paint(square(slice(0, 10), slice(0, 48)), Kind.VOID)
    return scene


@pytest.mark.parametrize("last", [1, 3, 4])
def test_shares_start_at_1_never_rise_and_are_0_after_the_last_frame(last):
    for seed in range(30):
        shares = kept_shares(np.random.default_rng(seed), 6, last)
        assert shares[0] == 1
        assert (np.diff(shares) <= 0).all()
        assert shares[last] > 0
        assert not shares[last + 1 :].any()


@pytest.mark.parametrize("kept", [0.0, 0.25, 0.6, 1.0])
def test_shrinking_keeps_the_share_of_pixels_and_only_pixels_that_were_inside(scene, kept):
    before = scene.regions[0] == 1
    shrink(scene.regions[0], (1,), kept, rigid=(3,))
    after = scene.regions[0] == 1
    assert not (after & ~before).any()
    assert after.sum() / before.sum() == pytest.approx(kept, abs=0.15)


def test_nothing_rigid_grows_into_a_place_that_becomes_free(scene):
    void = scene.regions[0] == 3
    shrink(scene.regions[0], (1,), 0.0, rigid=(3,))
    np.testing.assert_array_equal(scene.regions[0] == 3, void)


def test_the_nearest_region_takes_over():
    regions = np.array([[4, 1, 1, 1, 1, 7]] * 3, np.uint8)
    np.testing.assert_array_equal(nearest_outside(regions, regions == 1), [[4, 4, 4, 7, 7, 7]] * 3)


def test_an_ended_object_is_whole_in_frame_0_still_in_frame_1_and_gone_at_the_end(scene):
    for seed in range(10):
        copy = Anatomy(at=scene.at, tempo=20, bends=scene.bends, regions=scene.regions.copy(), kinds=list(scene.kinds))
        end_objects(np.random.default_rng(seed), copy, [(1,)], share=1.0)
        np.testing.assert_array_equal(copy.regions[0], scene.regions[0])
        assert (copy.regions[1] == 1).any()
        assert not (copy.regions[-1] == 1).any()
        np.testing.assert_array_equal(copy.regions == 2, scene.regions == 2)  # the look-alike stays in its place


def test_a_look_alike_lasts_and_lies_apart_from_what_it_resembles(scene):
    scene.paint(square(slice(10, 26), slice(26, 40)), Kind.TISSUE)  # 4: as large, but it borders on the square
    pairs = {}
    for seed in range(20):
        copy = Anatomy(at=scene.at, tempo=20, bends=scene.bends, regions=scene.regions.copy(), kinds=list(scene.kinds))
        end_objects(np.random.default_rng(seed), copy, [(1,)], share=1.0)
        pairs |= copy.lookalikes
    assert pairs.get(2) == 1
    assert not {0, 4} & set(pairs)


def test_with_a_share_of_0_nothing_ends(scene):
    before = scene.regions.copy()
    end_objects(np.random.default_rng(0), scene, [(1,), (2,)], share=0.0)
    np.testing.assert_array_equal(scene.regions, before)
