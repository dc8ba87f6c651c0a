"""A mask in little memory: its bits inside the smallest box around them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedMask:
    """A mask of any number of dimensions; `unpack` gives back exactly what was packed."""

    shape: tuple[int, ...]
    low: tuple[int, ...]  # first index of the box on every axis
    high: tuple[int, ...]  # one beyond the last; equal to `low` where the mask is empty
    bits: bytes  # eight voxels per byte, compressed

    @staticmethod
    def of(mask: Mask) -> PackedMask:
        """Pack a mask."""
        axes = range(mask.ndim)
        touched = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
        low = tuple(int(indices[0]) if len(indices) else 0 for indices in touched)
        high = tuple(int(indices[-1]) + 1 if len(indices) else 0 for indices in touched)
        inside = np.ascontiguousarray(mask[_box(low, high)])
        bits = zlib.compress(np.packbits(inside).tobytes(), level=1)
        return PackedMask(shape=mask.shape, low=low, high=high, bits=bits)

    @staticmethod
    def empty(shape: tuple[int, ...]) -> PackedMask:
        """A mask that holds nothing."""
        nowhere = (0,) * len(shape)
        return PackedMask(shape=shape, low=nowhere, high=nowhere, bits=zlib.compress(b"", level=1))

    def unpack(self) -> Mask:
        """The mask, as a new array."""
        sides = tuple(last - first for first, last in zip(self.low, self.high, strict=True))
        packed = np.frombuffer(zlib.decompress(self.bits), dtype=np.uint8)
        mask = np.zeros(self.shape, dtype=bool)
        mask[self.box] = np.unpackbits(packed, count=int(np.prod(sides))).reshape(sides).astype(bool)
        return mask

    @property
    def box(self) -> tuple[slice, ...]:
        """The part of an array of this shape outside of which the mask holds nothing."""
        return _box(self.low, self.high)

    def __bool__(self) -> bool:
        """Whether the mask holds anything."""
        return all(first < last for first, last in zip(self.low, self.high, strict=True))


def _box(low: tuple[int, ...], high: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(first, last) for first, last in zip(low, high, strict=True))
