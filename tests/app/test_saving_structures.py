"""Structures in one label map: nobody's voxels or name are lost when another comes, whatever the two look like."""

import numpy as np
import pytest

from lib.datastore.structures import Structures, joined, renumbered, structures_of

SHAPE = (6, 5, 4)
SEEDS = range(12)
NAMES = ("kidney", "liver", "spleen", "vein")


def some(seed, names):
    """A random label map of these names, with random values."""
    chance = np.random.default_rng(seed)
    values = chance.permutation(np.arange(1, 7))[: len(names)]  # few, so that they often collide
    labels = np.concatenate([[0], values])[chance.integers(0, len(names) + 1, SHAPE)]
    return Structures(labels=labels.astype(np.uint16), names=dict(zip(names, values.tolist(), strict=True)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("over", [False, True])
def test_every_voxel_goes_to_whom_it_should(seed, over):
    chance = np.random.default_rng(seed)
    saved = some(2 * seed, [name for name in NAMES if chance.random() < 0.7])
    new = some(2 * seed + 1, [name for name in NAMES if chance.random() < 0.7])
    together, shared = joined(saved, new, over=over)
    others = {name: saved.mask(name) for name in saved.names if name not in new.names}
    by_others = np.logical_or.reduce([np.zeros(SHAPE, bool), *others.values()])
    by_new = np.logical_or.reduce([np.zeros(SHAPE, bool), *(new.mask(name) for name in new.names)])
    for name, mask in others.items():
        np.testing.assert_array_equal(together.mask(name), mask & ~by_new if over else mask)
    for name in new.names:
        np.testing.assert_array_equal(together.mask(name), new.mask(name) if over else new.mask(name) & ~by_others)
        assert shared[name] == (new.mask(name) & by_others).sum()
    assert len(set(together.names.values())) == len(together.names) == len({*saved.names, *new.names})
    assert {name: together.names[name] for name in saved.names} == dict(saved.names)


@pytest.mark.parametrize("seed", SEEDS)
def test_new_values_move_no_voxel_from_one_name_to_another(seed):
    structures = some(seed, NAMES)
    known = some(seed + 100, NAMES[:3]).names
    moved = renumbered(structures, known)
    for name in NAMES:
        np.testing.assert_array_equal(moved.mask(name), structures.mask(name))
    free = {name: value for name, value in known.items() if value not in structures.names.values()}
    assert {name: moved.names[name] for name in free} == free


def test_values_that_two_names_would_swap_stay_where_they_are():
    labels = np.array([[[1, 2]]], np.uint8)
    moved = renumbered(Structures(labels=labels, names={"liver": 1, "spleen": 2}), {"liver": 2, "spleen": 1})
    assert moved.mask("liver").ravel().tolist() == [True, False]
    assert moved.mask("spleen").ravel().tolist() == [False, True]


def test_structures_that_overlap_become_a_label_map_in_which_the_first_is_seen():
    first, second = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    first[:4], second[2:] = True, True
    found = structures_of({"first": first, "second": second})
    np.testing.assert_array_equal(found.mask("first"), first)
    np.testing.assert_array_equal(found.mask("second"), second & ~first)
    assert structures_of({}) is None
