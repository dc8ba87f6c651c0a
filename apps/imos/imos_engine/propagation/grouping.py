"""Which objects share a window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imos_engine.propagation.resizing import Box
from imos_engine.propagation.window import Windows, extent_of
from imos_engine.sequence import Seed

ROOM = 1.3  # a shared window is at most this many times wider than the widest of its objects' own


@dataclass
class Group:
    """Objects annotated on the same frames, near each other."""

    objects: list[int]
    extents: dict[int, Box]  # per annotated frame, around all of them
    side: int  # of the widest window that one of them would have alone


def grouped(extents: Mapping[int, Mapping[int, Box]], windows: Windows) -> list[list[int]]:
    """Objects by window, each object once; an object never shares a window in which it would be small.

    `extents`: per object, the box around it on each frame where it was annotated.
    """
    if windows.factor is None:
        return [list(extents)] if extents else []
    groups: list[Group] = []
    largest_first = sorted(extents, key=lambda one: -_side(extents[one].values(), windows))
    for one in largest_first:
        side = _side(extents[one].values(), windows)
        for group in groups:
            if group.extents.keys() != extents[one].keys():
                continue
            joined = {index: box.joined(extents[one][index]) for index, box in group.extents.items()}
            if _side(joined.values(), windows) <= ROOM * min(side, group.side):
                group.objects.append(one)
                group.extents = joined
                break
        else:
            groups.append(Group([one], dict(extents[one]), side))
    return [sorted(group.objects) for group in groups]


def _side(boxes: Iterable[Box], windows: Windows) -> int:
    return min(max(windows.side(box) for box in boxes), max(windows.frame_size))


def extents_by_object(seeds: Sequence[Seed], object_ids: npt.NDArray[np.integer[Any]]) -> dict[int, dict[int, Box]]:
    """Per object with any pixel: the box around it on each frame where it was marked."""
    extents: dict[int, dict[int, Box]] = {}
    for seed in seeds:
        for object_id in map(int, object_ids):
            box = extent_of(seed.labels == object_id)
            if box is not None:
                extents.setdefault(object_id, {})[seed.index] = box
    return extents
