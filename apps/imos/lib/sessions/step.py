"""All that is known of one image and one client after one of the client's requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imos_engine.intensity import Intensity
from lib.sessions.packed_mask import PackedMask

Voxel = tuple[int, int, int]  # indices (i, j, k) into the stored array, 0-based


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """Points that a person placed for one object."""

    foreground: tuple[Voxel, ...] = ()
    background: tuple[Voxel, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldSeed:
    """One slice on which a person said where an object is."""

    axis: int
    index: int
    mask: PackedMask  # (H, W); empty: the object is not there
    mode: str  # mask, scribble, points, box or accepted
    said: str  # digest of the marks that it was made of: the same marks change nothing

    @property
    def place(self) -> tuple[int, int]:
        """Axis and slice; an object has one seed at each place."""
        return self.axis, self.index


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What was carried along one axis."""

    mask: PackedMask  # (I, J, K)
    confidence: Mapping[int, float]  # by slice that was computed, 0 to 1
    presence: Mapping[int, float]  # the same slices, 0 to 1


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectState:
    """One object: what was said of it, and what was answered."""

    id: int  # its value in the last reply
    answer: PackedMask  # (I, J, K)
    seeds: tuple[HeldSeed, ...] = ()  # the newest last
    layers: Mapping[int, Layer] = field(default_factory=dict)  # by axis
    clicks: Clicks = field(default_factory=Clicks)

    def seeds_along(self, axis: int) -> dict[int, HeldSeed]:
        """Seeds on slices across one axis, by slice."""
        return {seed.index: seed for seed in self.seeds if seed.axis == axis}


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """The state of a session after one request."""

    objects: Mapping[str, ObjectState]  # by name
    axis: int  # of the last marks
    intensity: Intensity  # what the networks were shown
    options: str  # digest of the options that change an answer
    recomputed: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # first and last slice, by object
