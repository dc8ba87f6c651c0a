"""Structures of one image that a person saved, and how new ones join them: nobody's work is erased by another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from imos_engine.volume_file import Volume
from lib.version import VERSION

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Structures:
    """A label map and the names of its values; a value without a name has none of a person's."""

    labels: npt.NDArray[Any]  # (I, J, K) on the image's grid
    names: Mapping[str, int]  # value by name, from 1

    def mask(self, name: str) -> Mask:
        """Where a structure is, (I, J, K)."""
        found: Mask = self.labels == self.names[name]
        return found

    def masks(self) -> dict[str, Mask]:
        """Every structure that has a voxel."""
        masks = {name: self.mask(name) for name in self.names}
        return {name: mask for name, mask in masks.items() if mask.any()}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What made a structure."""

    network: str = ""
    version: str = VERSION


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What became of structures that were saved."""

    label: str  # id of the label
    names: Mapping[str, int]  # all that the label now holds, with their values in its label map
    series: str | None = None  # SeriesInstanceUID of the DICOM SEG
    warnings: tuple[str, ...] = field(default=())


def named_structures(volume: Volume, told: Mapping[str, Any]) -> Structures:
    """A stored label map with the names that were kept beside it; values without one become `label_N`.

    Args:
        volume: whole numbers.
        told: `label_names` {name: value} of what we saved, or `label_info` [{"name", "idx"}] of what a client did.
    """
    labels = np.asarray(volume.array).astype(_smallest(int(np.max(volume.array, initial=0))))
    values = set(np.unique(labels).tolist()) - {0}
    names = {str(name): int(value) for name, value in (told.get("label_names") or {}).items()}
    names = names or _names_by_client(told.get("label_info") or (), values)
    unnamed = sorted(values - set(names.values()))
    return Structures(labels=labels, names={**names, **{f"label_{value}": value for value in unnamed}})


def _names_by_client(label_info: Iterable[Any], values: set[int]) -> dict[str, int]:
    """Names as Slicer submits them: `idx` is the segment's place in the scene, empty stroke segments included.

    The label map counts only the segments that are exported. Where its values are not those of `idx`, they are places
    in this list.
    """
    entries = [entry for entry in label_info if isinstance(entry, Mapping) and entry.get("name")]
    names = {str(entry["name"]): int(entry.get("idx", entry.get("id", 0)) or 0) for entry in entries}
    if values - set(names.values()) and max(values) <= len(names):
        return {name: place for place, name in enumerate(names, start=1)}
    return {name: value for name, value in names.items() if value > 0}


def renumbered(structures: Structures, known: Mapping[str, int]) -> Structures:
    """The same structures, each under the value that its name is known by, where no other has that value."""
    names = dict(structures.names)
    for name in names:
        wanted = known.get(name, names[name])
        names[name] = wanted if wanted not in names.values() else names[name]
    labels = np.zeros(structures.labels.shape, dtype=_smallest(max(names.values(), default=0)))
    for name, value in names.items():
        labels[structures.mask(name)] = value
    return Structures(labels=labels, names=names)


def structures_of(masks: Mapping[str, Mask]) -> Structures | None:
    """A label map of structures that may overlap: where they do, the first has the voxel. None without any."""
    labels = None
    for value, mask in enumerate(masks.values(), start=1):
        labels = np.zeros(mask.shape, dtype=_smallest(len(masks))) if labels is None else labels
        labels[mask & (labels == 0)] = value
    names = {name: value for value, name in enumerate(masks, start=1)}
    return None if labels is None else Structures(labels=labels, names=names)


def joined(saved: Structures | None, new: Structures, *, over: bool) -> tuple[Structures, dict[str, int]]:
    """New structures beside those saved before, in one label map, where a voxel holds one value.

    A structure replaces what was saved under its name. Of what others hold it takes nothing, unless `over`: then the
    voxel is the new one's. Names keep their values; a new name keeps its own where that is free.

    Returns:
        The label map, and how many voxels each new structure shares with others.
    """
    if saved is None:
        return new, dict.fromkeys(new.names, 0)
    names = dict(saved.names)
    for name, value in new.names.items():
        taken = set(names.values())
        names.setdefault(name, value if value not in taken else _free(taken))
    labels = saved.labels.astype(_smallest(max(names.values(), default=0)))
    for name in new.names:
        labels[labels == names[name]] = 0
    shared = {}
    for name in new.names:
        mask = new.mask(name)
        held = mask & (labels != 0)
        shared[name] = int(held.sum())
        labels[mask if over else mask & ~held] = names[name]
    return Structures(labels=labels, names=names), shared


def shared_warnings(shared: Mapping[str, int], *, over: bool) -> tuple[str, ...]:
    """What a person should know of structures that overlap in a label map."""
    fate = (
        "they are its own now"
        if over
        else "they stay theirs in the label map, where a voxel has one name; save with save_over to take them"
    )
    return tuple(
        f"{count} voxels of {name!r} belonged to other saved structures: {fate}"
        for name, count in shared.items()
        if count
    )


def _free(taken: set[int]) -> int:
    return next(value for value in range(1, len(taken) + 2) if value not in taken)


def _smallest(largest: int) -> np.dtype[Any]:
    return np.min_scalar_type(max(largest, 1))
