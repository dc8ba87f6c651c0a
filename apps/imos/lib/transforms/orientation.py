"""The same anatomy always looks the same to the networks, however its voxels are stored.

Networks and optical flow see a mirrored or transposed slice a little differently. So they are shown every volume as if
it were stored towards the patient's left, back and head, which is how scanners store axial slices; what they answer is
turned back. Everything else, requests and replies included, stays in the stored order.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from imos_engine.intensity import Intensity
from imos_engine.prompts import SlicePrompts, SliceSolver
from imos_engine.propagation import FrameResult, Propagator
from imos_engine.sequence import Direction, FrameSequence, Seed

Array = npt.NDArray[Any]
Point = tuple[int, int]  # row, column

SHOWN = (-1, -1, 1)  # signs of left, back and head in millimetres right, anterior, superior
PLANES = ("sagittal", "coronal", "axial")  # across left-right, front-back and foot-head
LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # below and above 0 mm, as viewers write positions
STRAIGHT = 0.98  # cosine of the angle to a patient axis up to which one position tells where a slice lies


def patient_order(affine: Array) -> tuple[int, int, int]:
    """The array axes that run nearest to left-right, front-back and foot-head, in this order.

    Shapes: affine (4, 4), from voxels to millimetres right, anterior, superior.
    """
    nearest = [int(axis) for axis, _ in _closest(affine)]
    return nearest.index(0), nearest.index(1), nearest.index(2)


def plane_of(axis: int, affine: Array) -> str:
    """Which of PLANES the slices across an array axis are nearest to. Shapes: affine (4, 4)."""
    return PLANES[patient_order(affine).index(axis)]


def position_of(axis: int, index: int, affine: Array, shape: tuple[int, int, int]) -> str | None:
    """Where a slice across an array axis lies, as viewers write it ("S 132.5 mm"); None where it lies askew."""
    patient_axis = patient_order(affine).index(axis)
    step = np.asarray(affine)[:3, axis]
    if abs(step[patient_axis]) < STRAIGHT * np.linalg.norm(step):
        return None
    middle = [(side - 1) / 2 for side in shape]
    middle[axis] = index
    millimetres = float((np.asarray(affine) @ (*middle, 1.0))[patient_axis])
    return f"{LETTERS[patient_axis][int(millimetres >= 0)]} {abs(millimetres):.1f} mm"


@dataclass(frozen=True, kw_only=True)
class FrameOrientation:
    """How frames (T, H, W) along one axis of a stored volume are turned before a network sees them."""

    transposed: bool  # rows become columns
    reverse_time: bool  # the last frame comes first
    reverse_rows: bool  # after transposing
    reverse_columns: bool

    @staticmethod
    def along(axis: int, affine: Array) -> FrameOrientation:
        """The view of the frames along an array axis. Shapes: affine (4, 4) as for `patient_order`."""
        order = patient_order(affine)
        closest = _closest(affine)
        reverse = {one: bool(closest[one][1] != wanted) for one, wanted in zip(order, SHOWN, strict=True)}
        row, column = (one for one in order if one != axis)
        return FrameOrientation(
            transposed=row > column,
            reverse_time=reverse[axis],
            reverse_rows=reverse[row],
            reverse_columns=reverse[column],
        )

    def turn(self, plane: Array) -> Array:
        """A stored slice (H, W) or (H, W, 3) as the networks see it (a view, no copy)."""
        plane = plane.swapaxes(0, 1) if self.transposed else plane
        return plane[self._steps]

    def restore(self, plane: Array) -> Array:
        """Inverse of `turn` (a view, no copy)."""
        plane = plane[self._steps]
        return plane.swapaxes(0, 1) if self.transposed else plane

    def turn_frames(self, frames: Array) -> Array:
        """Stored frames (T, H, W) or (T, H, W, 3) as the networks see them (a view, no copy)."""
        frames = frames.swapaxes(1, 2) if self.transposed else frames
        return frames[(slice(None, None, -1 if self.reverse_time else 1), *self._steps)]

    def frame_number(self, index: int, count: int) -> int:
        """Where a stored frame out of `count` stands in the turned sequence; its own inverse."""
        return count - 1 - index if self.reverse_time else index

    def turn_prompts(self, prompts: SlicePrompts, size: tuple[int, int]) -> SlicePrompts:
        """Marks on a stored slice of `size` (H, W) as the networks see them."""

        def turned(plane: Array | None) -> Array | None:
            return None if plane is None else np.ascontiguousarray(self.turn(plane))

        corners = None
        if prompts.box is not None:
            top, left, bottom, right = prompts.box
            (first, second) = (self._turn_point(corner, size) for corner in ((top, left), (bottom, right)))
            corners = (*map(min, first, second), *map(max, first, second))
        return SlicePrompts(
            foreground=[self._turn_point(point, size) for point in prompts.foreground],
            background=[self._turn_point(point, size) for point in prompts.background],
            scribbles_foreground=turned(prompts.scribbles_foreground),
            scribbles_background=turned(prompts.scribbles_background),
            box=corners,
            mask=turned(prompts.mask),
        )

    def solver(self, solve: SliceSolver) -> SliceSolver:
        """A solver for stored slices, by one that sees them turned."""

        def solve_turned(image: Array, prompts: SlicePrompts) -> npt.NDArray[np.float32]:
            size = int(image.shape[0]), int(image.shape[1])
            found = solve(np.ascontiguousarray(self.turn(image)), self.turn_prompts(prompts, size))
            return np.ascontiguousarray(self.restore(found))

        return solve_turned

    def propagate(
        self,
        propagator: Propagator,
        frames: Array,
        intensity: Intensity,
        seeds: Sequence[Seed],
        *,
        directions: frozenset[Direction],
        frame_range: tuple[int, int],
        image_key: Hashable,
    ) -> Iterator[FrameResult]:
        """Carry seeds of stored frames (T, H, W) or (T, H, W, 3); arguments and answers as `Propagator.propagate`."""
        count = len(frames)
        turned_seeds = [
            replace(
                seed,
                index=self.frame_number(seed.index, count),
                labels=np.ascontiguousarray(self.turn(seed.labels)),
            )
            for seed in seeds
        ]
        ends = sorted(self.frame_number(index, count) for index in frame_range)
        results = propagator.propagate(
            FrameSequence(self.turn_frames(frames), intensity),
            turned_seeds,
            directions=frozenset(Direction(-one.value) for one in directions) if self.reverse_time else directions,
            frame_range=(ends[0], ends[1]),
            image_key=image_key,
        )
        for result in results:
            yield replace(result, index=self.frame_number(result.index, count), labels=self.restore(result.labels))

    @property
    def _steps(self) -> tuple[slice, slice]:
        return slice(None, None, -1 if self.reverse_rows else 1), slice(None, None, -1 if self.reverse_columns else 1)

    def _turn_point(self, point: Point, size: tuple[int, int]) -> Point:
        """A point of a stored slice of `size` (H, W)."""
        row, column = (point[1], point[0]) if self.transposed else point
        height, width = (size[1], size[0]) if self.transposed else size
        return height - 1 - row if self.reverse_rows else row, width - 1 - column if self.reverse_columns else column


def _closest(affine: Array) -> list[tuple[float, float]]:
    """Per array axis: the patient axis nearest to it, and the sign of its direction along that one."""
    found = nibabel.orientations.io_orientation(affine)
    if not np.isfinite(found).all():  # no patient axis is left for one of a degenerate grid
        return [(float(axis), float(sign)) for axis, sign in enumerate(SHOWN)]
    return [(float(axis), float(sign)) for axis, sign in found]
