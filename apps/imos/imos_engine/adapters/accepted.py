"""An accepted label and its image, as training and the gate see them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imos_engine.sequence import frames_along

Array = NDArray[Any]
LARGEST_ANISOTROPY = 3.0  # of a slice's pixels, for a plane that is worth training on
SMALLEST_SIDE = 32  # pixels of a slice


@dataclass(frozen=True, kw_only=True, eq=False)
class AcceptedVolume:
    """One image with the labels that an expert accepted for it."""

    images: Array  # (I, J, K) or (I, J, K, 3), stored values
    labels: NDArray[np.uint8]  # (I, J, K), 0 background
    names: Mapping[int, str]  # of the values in `labels`
    axis: int  # array axis along which masks are carried
    axes: tuple[int, ...]  # array axes along which clips may run, `axis` among them
    changed: NDArray[np.bool_] | None = None  # (I, J, K): where the expert changed what was proposed; None: not known
    image_sha256: str = ""  # of the image's content
    label_sha256: str = ""  # of the label's content
    part: int | None = None  # of an image that was cut, whose hashes these are; None: all of it

    def __post_init__(self) -> None:
        if self.labels.shape != self.images.shape[:3]:
            raise ValueError(f"labels of shape {self.labels.shape} do not lie on an image of {self.images.shape}")

    @property
    def present(self) -> dict[int, str]:
        """Names of the values that occur."""
        found = {int(value) for value in np.unique(self.labels)} - {0}
        return {value: self.names.get(value, f"label {value}") for value in sorted(found)}

    def identified(self) -> AcceptedVolume:
        """The same with the hashes of its content."""
        return replace(self, image_sha256=content_sha256(self.images), label_sha256=content_sha256(self.labels))

    def halves(self) -> tuple[AcceptedVolume, AcceptedVolume]:
        """The volume cut in the middle of what is labelled along its axis, for cross-validation of a single image."""
        touched = np.flatnonzero(frames_along(self.labels, self.axis).any(axis=(1, 2)))
        middle = int(touched.mean()) + 1 if touched.size else frames_along(self.labels, self.axis).shape[0] // 2
        return self._part(0, slice(None, middle)), self._part(1, slice(middle, None))

    def _part(self, number: int, frames: slice) -> AcceptedVolume:
        where = tuple(frames if axis == self.axis else slice(None) for axis in range(3))
        return replace(
            self,
            images=self.images[where],
            labels=self.labels[where],
            changed=None if self.changed is None else self.changed[where],
            part=number,
        )


def usable_axes(shape: tuple[int, ...], spacing_mm: tuple[float, ...], axis: int) -> tuple[int, ...]:
    """Axes along which slices are pictures: large enough, their pixels not too flat; `axis` always is one.

    Args:
        shape: of the volume, (I, J, K).
        spacing_mm: along its axes.
        axis: the one along which masks are carried.
    """
    found = []
    for candidate in range(3):
        rows, columns = (other for other in range(3) if other != candidate)
        flat = max(spacing_mm[rows], spacing_mm[columns]) / max(min(spacing_mm[rows], spacing_mm[columns]), 1e-6)
        large = min(shape[rows], shape[columns]) >= SMALLEST_SIDE and shape[candidate] > 1
        if candidate == axis or (large and flat <= LARGEST_ANISOTROPY):
            found.append(candidate)
    return tuple(found)


def content_sha256(array: Array) -> str:
    """Hash of an array's shape, number type and values, however the file was called or compressed."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
