"""Objects that leave the picture and come back, with a refiner that follows the flow and doubts it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from imos_engine.config import RefinerConfig
from imos_engine.propagation import distinct_looks
from imos_engine.propagation.distinct_looks import DistinctLooks
from imos_engine.sequence import FrameSequence, Seed
from tests.engine.narrow import NARROW, narrow_network
from tests.engine.sequences import GREY

from .carrying import propagate, propagator_of

SIZE = (120, 150)
HERE, THERE = (40, 40), (80, 110)  # row and column of a disc's middle
RADIUS = 13


def doubting_network(*, trust=0.3):
    """Follows the flow, and lets go within a few frames of what does not look like the seed; in full trust never."""
    network = narrow_network(replace(NARROW, refiner=RefinerConfig(channels=(8, 8))))
    with torch.no_grad():
        for parameter in network.refiner.correction.parameters():
            parameter.zero_()
        network.refiner.trust.copy_(torch.tensor([0.0, trust]))
        network.refiner.presence[-1].weight.zero_()
        network.refiner.presence[-1].bias.fill_(5)
    return network


def disc(middle, radius=RADIUS):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2


def bar(column):
    """Thirteen pixels wide and forty high: two of them beside each other share a window."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (abs(rows - 40) < 20) & (abs(columns - column) < 7)


def picture(bright):
    """A textured ground with what is bright, 0 to 1."""
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.random(SIZE, dtype=np.float32), (0, 0), 2)
    texture = 0.05 * (texture - texture.mean()) / texture.std()
    return np.where(bright, 0.85 + texture, 0.3 + texture)


NOTHING = np.zeros(SIZE, dtype=bool)


def seed_of(labels, index=0, objects=(1,)):
    return Seed(index=index, labels=labels.astype(np.uint8), objects=frozenset(objects))


def masks_of(pictures, seeds, *, window=2.5, object_id=1, network=None):
    """Masks (T, H, W) of an object."""
    propagator = propagator_of(network or doubting_network(), size=96, window=window, end_after=3)
    results = propagate(FrameSequence(np.stack(pictures), GREY), seeds, propagator=propagator)
    return np.stack([results[index].labels == object_id for index in range(len(pictures))])


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("away", [4, 9])  # before and after a direction would end
@pytest.mark.parametrize("window", [None, 2.5])
def test_an_object_that_left_the_picture_is_found_where_it_comes_back(away, window):
    pictures = [picture(disc(HERE))] * 2 + [picture(NOTHING)] * away + [picture(disc(THERE))] * 3
    masks = masks_of(pictures, [seed_of(disc(HERE))], window=window)
    assert not masks[5 : 2 + away].any()
    assert all(dice(mask, disc(THERE)) > 0.85 for mask in masks[2 + away :])


def test_it_is_found_by_the_backward_pass_too():
    pictures = [picture(disc(THERE))] * 2 + [picture(NOTHING)] * 5 + [picture(disc(HERE))]
    masks = masks_of(pictures, [seed_of(disc(HERE), index=7)])
    assert all(dice(mask, disc(THERE)) > 0.85 for mask in masks[:2])


def test_an_object_whose_like_is_on_the_seed_is_not_looked_for():
    pictures = [picture(disc(HERE) | disc(THERE))] * 2 + [picture(disc(THERE))] * 8
    masks = masks_of(pictures, [seed_of(disc(HERE))])
    assert not masks[5:].any()


def test_what_was_said_not_to_be_the_object_is_not_taken_for_it():
    pictures = [picture(disc(HERE))] * 2 + [picture(NOTHING)] * 6 + [picture(disc(THERE))] * 3
    seeds = [seed_of(disc(HERE)), seed_of(NOTHING, index=10)]
    assert not masks_of(pictures, seeds)[5:].any()
    assert masks_of(pictures, seeds[:1])[8:].any(axis=(1, 2)).all()


def test_a_small_piece_that_looks_alike_is_not_the_object():
    pictures = [picture(disc(HERE))] * 2 + [picture(NOTHING)] * 3 + [picture(disc(THERE, radius=4))] * 3
    assert disc(THERE, radius=4).sum() < distinct_looks.LEAST * disc(HERE).sum()
    assert not masks_of(pictures, [seed_of(disc(HERE))])[5:].any()


@pytest.mark.parametrize("window", [None, 2.5])
def test_an_object_in_the_same_window_keeps_its_mask_when_the_other_is_found_elsewhere(monkeypatch, window):
    moved, kept = bar(30), bar(52)
    elsewhere = np.roll(moved, (40, 60), axis=(0, 1))
    shown = torch.from_numpy(np.stack([elsewhere, NOTHING]))
    monkeypatch.setattr(DistinctLooks, "find", lambda self, index, lost: shown if index == 3 else None)
    seeds = [seed_of(moved + 2 * kept.astype(np.uint8), objects=(1, 2))]
    settings = {"network": doubting_network(trust=1.0), "window": window}
    masks = {number: masks_of([picture(moved | kept)] * 5, seeds, object_id=number, **settings) for number in (1, 2)}
    assert all(dice(mask, moved) > 0.9 for mask in masks[1][:3])
    assert dice(masks[1][3], elsewhere) > 0.9
    assert all(dice(mask, kept) > 0.9 for mask in masks[2])
