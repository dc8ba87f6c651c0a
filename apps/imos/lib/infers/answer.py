"""From objects, each on its own, to one label map."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from imos_engine.sequence import frames_along
from lib.infers.marks import Labels
from lib.sessions.step import ObjectState


def label_map_of(objects: Mapping[str, ObjectState], *, shape: tuple[int, ...], last: Collection[str] = ()) -> Labels:
    """The answers of objects, (I, J, K), by their ids; where two meet, the later one wins, and those of `last`."""
    labels = _nothing(objects, shape)
    for name in sorted(objects, key=lambda one: one in last):
        labels[objects[name].answer.unpack()] = objects[name].id
    return labels


def seeds_only(objects: Mapping[str, ObjectState], *, shape: tuple[int, ...], last: Collection[str] = ()) -> Labels:
    """The seed slices of objects alone, (I, J, K), by their ids; in the same order."""
    labels = _nothing(objects, shape)
    for name in sorted(objects, key=lambda one: one in last):
        for seed in objects[name].seeds:
            frames_along(labels, seed.axis)[seed.index][seed.mask.unpack()] = objects[name].id
    return labels


def _nothing(objects: Mapping[str, ObjectState], shape: tuple[int, ...]) -> Labels:
    largest = max((state.id for state in objects.values()), default=0)
    return np.zeros(shape, dtype=np.uint8 if largest < 256 else np.uint16)
