"""The shared nouns: volumes seen as sequences of frames, and the frames that a person annotated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NewType, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imos_engine.intensity import Intensity, automatic_intensity

ObjectId = NewType("ObjectId", int)  # value in the user's label map: sparse, never reused
Channel = NewType("Channel", int)  # position in a (K, H, W) tensor: dense, 0-based

Array = npt.NDArray[Any]


class Direction(Enum):
    """Which way a seed is carried along the sequence."""

    FORWARD = 1
    BACKWARD = -1


BOTH_DIRECTIONS = frozenset(Direction)


@dataclass(frozen=True, kw_only=True)
class VolumeGeometry:
    """Where voxels lie in the patient."""

    spacing_mm: tuple[float, float, float]  # along array axes 0, 1, 2
    slice_axis: int  # array axis that plays the role of time

    @property
    def gap_between_frames_mm(self) -> float:
        """Distance between two neighbouring slices, in millimetres."""
        return self.spacing_mm[self.slice_axis]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seed:
    """One annotated frame.

    `labels` (H, W) holds object ids, 0 is background. `objects` are the ids that the annotation speaks about: one of
    them without a pixel is declared absent from this frame; an id not among them is unknown here, to be predicted.
    """

    index: int
    labels: Array
    objects: frozenset[int]

    def __post_init__(self) -> None:
        """Refuse labels that are no 2-D map of integers, or that hold undeclared ids, and ids below 1."""
        if self.labels.ndim != 2:
            raise ValueError(f"a seed needs an (H, W) label map, got shape {self.labels.shape}")
        if self.labels.dtype.kind not in "biu":
            raise ValueError(f"a seed needs integer labels, got {self.labels.dtype}")
        if any(object_id < 1 for object_id in self.objects):
            raise ValueError(f"object ids must be at least 1, 0 is the background; got {sorted(self.objects)}")
        undeclared = {int(value) for value in np.unique(self.labels)} - {0} - self.objects
        if undeclared:
            raise ValueError(f"seed on frame {self.index} holds ids {sorted(undeclared)} that `objects` does not list")


class Frames(Protocol):
    """Frames in the order in which they are carried, normalised on demand."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def normalised(self, start: int, stop: int) -> Tensor:
        """Frames start to stop - 1 as (n, 3, H, W) float32, as the network expects them."""
        ...


class FrameSequence:
    """Frames of a volume or video; pixels are copied and normalised only when asked for."""

    def __init__(self, images: Array, intensity: Intensity) -> None:
        """Shapes: images (T, H, W) grey or (T, H, W, 3) colour, any number type.

        Raises:
            ValueError: for any other shape, or a sequence without pixels.
        """
        if images.ndim != 3 and not (images.ndim == 4 and images.shape[3] == 3):
            raise ValueError(f"frames must be (T, H, W) or (T, H, W, 3), got shape {images.shape}")
        if images.size == 0:
            raise ValueError(f"frames of shape {images.shape} hold no pixel")
        self._images = images
        self._intensity = intensity

    @staticmethod
    def under(images: Array, seeds: Sequence[Seed]) -> FrameSequence:
        """The frames in the window that suits what the seeds show; shapes and errors as above."""
        annotated = np.zeros(images.shape[:3], dtype=bool)
        for seed in seeds:
            annotated[seed.index] = seed.labels != 0
        return FrameSequence(images, automatic_intensity(images, annotated))

    def __len__(self) -> int:
        """Number of frames."""
        return int(self._images.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self._images.shape[1]), int(self._images.shape[2])

    def normalised(self, start: int, stop: int) -> Tensor:
        """Frames start to stop - 1 as (n, 3, H, W) float32; grey is repeated to three channels."""
        pixels = torch.from_numpy(self._intensity.apply(self._images[start:stop]))
        if pixels.ndim == 3:
            return pixels[:, None].expand(-1, 3, -1, -1)
        return pixels.permute(0, 3, 1, 2)


def frames_along(volume: Array, axis: int) -> Array:
    """See a volume as frames along one of its first three axes (a view, no copy).

    Shapes: volume (I, J, K) or (I, J, K, 3). Returns: (T, H, W) or (T, H, W, 3); the two other axes keep their order.
    """
    return np.moveaxis(volume, axis, 0)


def volume_from_frames(frames: Array, axis: int) -> Array:
    """Inverse of `frames_along` (a view, no copy)."""
    return np.moveaxis(frames, 0, axis)


def slices_touched(labels: Array, axis: int) -> list[int]:
    """Indices along `axis` of the slices that hold any non-zero label."""
    others = tuple(other for other in range(3) if other != axis)
    return [int(index) for index in np.flatnonzero((labels != 0).any(axis=others))]


def choose_slice_axis(labels: Array, spacing_mm: Iterable[float]) -> int:
    """The axis along which the annotation is planar, else the one with the coarsest spacing; ties go to the last.

    Shapes: labels (I, J, K). An annotation is planar along the axis on which it touches strictly the fewest slices.
    """
    touched = [len(slices_touched(labels, axis)) for axis in range(3)]
    return coarsest_axis(spacing_mm, among=[axis for axis in range(3) if touched[axis] == min(touched)])


def coarsest_axis(spacing_mm: Iterable[float], *, among: Iterable[int] = range(3)) -> int:
    """The axis across which slices lie furthest apart; ties go to the last."""
    spacing = tuple(spacing_mm)
    return max(among, key=lambda axis: (round(spacing[axis], 4), axis))
