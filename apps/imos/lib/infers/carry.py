"""Carries seeds along any axis of one request's image."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from imos_engine.intensity import Intensity
from imos_engine.prompts import SliceSolver
from imos_engine.propagation import Propagator
from imos_engine.sequence import Seed, frames_along
from imos_engine.volume_file import Volume
from lib.errors import RequestError
from lib.infers.carrier import refuse_if_gone
from lib.infers.marks import Mask
from lib.infers.request import Box, InferRequest
from lib.sessions.step import HeldSeed
from lib.transforms.orientation import FrameOrientation
from lib.transforms.volumes import image_stamp


@dataclass(kw_only=True, eq=False)
class Stretch:
    """One object on some neighbouring slices, as it was carried there."""

    first: int  # number of the first slice
    masks: Mask  # (n, H, W)
    confidence: dict[int, float] = field(default_factory=dict)  # by slice, 0 to 1
    presence: dict[int, float] = field(default_factory=dict)


class Carry:
    """The slices of an image, and the network that carries masks through them."""

    def __init__(
        self,
        request: InferRequest,
        image: Volume,
        intensity: Intensity,
        box: Box | None,
        *,
        axis: int,
        propagator: Propagator,
        solve: SliceSolver,
        client_gone: threading.Event,
    ) -> None:
        """`axis` is the one that a range of slices is meant along.

        Raises:
            RequestError: the range does not fit.
        """
        self.directions = request.options.directions
        self._array, self._affine, self._intensity = image.array, image.affine, intensity
        self._propagator, self._solve, self._client_gone = propagator, solve, client_gone
        self._image_key = image_stamp(request.image), intensity, request.device
        self._box = box
        self._ranges = {one: self._range(one, None) for one in range(3)}
        self._ranges[axis] = self._range(axis, request.options.slice_range)
        self.seconds: dict[str, float | int] = {}  # per stage, and counts of frames, of all runs

    def range(self, axis: int) -> tuple[int, int]:
        """First and last slice across an axis that were asked for, both included."""
        return self._ranges[axis]

    def covers(self, axis: int, index: int) -> bool:
        """Whether a slice was asked for."""
        first, last = self._ranges[axis]
        return first <= index <= last

    def image(self, axis: int, index: int) -> npt.NDArray[np.float32]:
        """One slice (H, W) or (H, W, 3) as the prompts see it."""
        return self._intensity.apply(frames_along(self._array, axis)[index])

    def solver(self, axis: int) -> SliceSolver:
        """The solver for slices across an axis."""
        return self._orientation(axis).solver(self._solve)

    def run(self, axis: int, seeds: Mapping[str, Sequence[HeldSeed]], first: int, last: int) -> dict[str, Stretch]:
        """Carry objects along an axis through slices `first` to `last`; seeds next to them start the passes, too.

        Raises:
            RequestError: the client left.
        """
        names = {name: number for number, name in enumerate(seeds, start=1)}
        frames = frames_along(self._array, axis)
        height, width = frames.shape[1:3]
        found = {name: Stretch(first=first, masks=np.zeros((last + 1 - first, height, width), bool)) for name in names}
        given = joined_seeds(seeds, names, size=(height, width))
        indices = {seed.index for seed in given}
        low, high = self._ranges[axis]
        start = first - 1 if first - 1 in indices and first > low else first
        stop = last + 1 if last + 1 in indices and last < high else last
        if not any(start <= index <= stop for index in indices):
            return found
        results = self._orientation(axis).propagate(
            self._propagator,
            frames,
            self._intensity,
            given,
            directions=self.directions,
            frame_range=(start, stop),
            image_key=(*self._image_key, axis),
        )
        for result in results:
            refuse_if_gone(self._client_gone)
            if not first <= result.index <= last:
                continue
            for name, number in names.items():
                found[name].masks[result.index - first] = result.labels == number
                if number in result.confidence:
                    found[name].confidence[result.index] = round(float(result.confidence[number]), 4)
                    found[name].presence[result.index] = round(float(result.presence[number]), 4)
        self._count(self._propagator.timings.to_dict())
        return found

    def _count(self, seconds: Mapping[str, float | int]) -> None:
        for stage, value in seconds.items():
            total = self.seconds.get(stage, 0) + value
            self.seconds[stage] = total if isinstance(total, int) else round(total, 4)

    def _orientation(self, axis: int) -> FrameOrientation:
        return FrameOrientation.along(axis, self._affine)

    def _range(self, axis: int, asked: tuple[int, int] | None) -> tuple[int, int]:
        """The slices asked for, else those of a region that is more than one slice thick, else all."""
        count = self._array.shape[axis]
        if asked is not None:
            if not 0 <= asked[0] <= asked[1] < count:
                raise RequestError(
                    f"slice_range {list(asked)} does not fit: axis {axis} of this volume has slices 0 to {count - 1}"
                )
            return asked
        if self._box and self._box.high[axis] > self._box.low[axis]:
            return self._box.low[axis], self._box.high[axis]
        return 0, count - 1


def joined_seeds(
    seeds: Mapping[str, Sequence[HeldSeed]], numbers: Mapping[str, int], *, size: tuple[int, int]
) -> list[Seed]:
    """One seed per slice that speaks about every object that has one there. Shapes: `size` (H, W)."""
    labels: dict[int, npt.NDArray[np.uint16]] = {}
    spoken: dict[int, set[int]] = {}
    for name, held in seeds.items():
        for seed in held:
            plane = labels.setdefault(seed.index, np.zeros(size, dtype=np.uint16))
            plane[seed.mask.unpack()] = numbers[name]
            spoken.setdefault(seed.index, set()).add(numbers[name])
    return [Seed(index=index, labels=plane, objects=frozenset(spoken[index])) for index, plane in labels.items()]
