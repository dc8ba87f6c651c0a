"""Clips of accepted volumes, mixed with random sequences: what a retraining learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imos_engine.sequence import frames_along
from imos_engine.training.accepted.clip_store import StoredVolume, open_volume
from imos_engine.training.augmentation import LabelledClip
from imos_engine.training.clips import ClipSource, labelled
from imos_engine.training.loop import synthetic_source

MAIN_AXIS_SHARE = 0.6  # of a volume's clips that run along the axis of propagation
MOST_GAP = 2  # frames between two frames of a clip, where the volume is long enough
CHANGED_WEIGHT = 3.0  # how often a slice that the expert changed is drawn, against others
EXTENT = (1.6, 3.2)  # side of the crop over the object's extent; propagation looks at 2.5
SMALLEST_CROP = 24  # pixels
GAMMA = 0.25  # brightness is bent by up to this power, up or down


@dataclass(frozen=True, kw_only=True)
class ClipFrames:
    """Which frames of which axis of a volume make a clip."""

    axis: int
    indices: NDArray[np.intp]  # (T,), the seed first


class AcceptedClips:
    """Endless clips; the same index gives the same clip. Pickles as a list of folders."""

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        frames: int,
        size: int,
        seed: int,
        replay: float = 0.0,
        together: int = 1,
    ) -> None:
        """`replay` is the share of random sequences, which show what the network knew: `together` in a row."""
        self.folders, self.frames, self.size, self.seed = tuple(folders), frames, size, seed
        self.replay, self.together = replay, together

    @cached_property
    def _volumes(self) -> list[StoredVolume]:
        return [open_volume(folder) for folder in self.folders]

    @cached_property
    def _known(self) -> ClipSource:
        return synthetic_source(frames=self.frames, size=self.size, seed=self.seed)

    @cached_property
    def _draws(self) -> dict[tuple[int, int], NDArray[np.float64]]:
        """How often each frame is a clip's centre, by volume and axis; only axes with a labelled frame."""
        draws = {}
        for number, volume in enumerate(self._volumes):
            for axis in volume.axes:
                chances = centre_chances(volume, axis)
                if chances is not None:
                    draws[number, axis] = chances
        return draws

    def __getstate__(self) -> dict[str, Any]:
        kept = ("folders", "frames", "size", "seed", "replay", "together")
        return {name: self.__dict__[name] for name in kept}

    def clip(self, index: int) -> LabelledClip:
        """The clip of this index, 0 or more."""
        replays = np.random.default_rng([self.seed, 8, index // self.together]).random() < self.replay
        if replays or not self._draws:
            return replace(labelled(self._known.clip(index)), known=True)
        random = np.random.default_rng([self.seed, 7, index])
        number = self._some_volume(random)
        volume = self._volumes[number]
        axis = self._some_axis(number, random)
        chosen = clip_frames(volume, axis, self._draws[number, axis], self.frames, random)
        return self._cut(volume, chosen, random)

    def _some_volume(self, random: np.random.Generator) -> int:
        numbers = sorted({number for number, _ in self._draws})
        weights = np.array([self._volumes[number].weight for number in numbers])
        return int(random.choice(numbers, p=weights / weights.sum()))

    def _some_axis(self, number: int, random: np.random.Generator) -> int:
        axes = [axis for volume, axis in self._draws if volume == number]
        main = self._volumes[number].axis
        if main in axes and (len(axes) == 1 or random.random() < MAIN_AXIS_SHARE):
            return main
        return int(random.choice([axis for axis in axes if axis != main]))

    def _cut(self, volume: StoredVolume, chosen: ClipFrames, random: np.random.Generator) -> LabelledClip:
        labels = np.stack([frames_along(volume.labels, chosen.axis)[index] for index in chosen.indices])
        rows, columns = crop_around(labels, random)
        images = frames_along(volume.images, chosen.axis)
        cut = [np.asarray(images[index][rows, columns], dtype=np.float32) for index in chosen.indices]
        bent = np.stack([self._resized(one) for one in cut]).clip(0, 1) ** np.exp(random.uniform(-GAMMA, GAMMA))
        pixels = np.repeat(bent[:, None], 3, axis=1) if bent.ndim == 3 else bent.transpose(0, 3, 1, 2)
        small = [
            cv2.resize(one, (self.size, self.size), interpolation=cv2.INTER_NEAREST) for one in labels[:, rows, columns]
        ]
        return LabelledClip(
            frames=np.ascontiguousarray(pixels, dtype=np.float32), labels=np.stack(small), intensity=volume.intensity
        )

    def _resized(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        shrinks = min(image.shape[:2]) > self.size
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (self.size, self.size), interpolation=way), dtype=np.float32)


def centre_chances(volume: StoredVolume, axis: int) -> NDArray[np.float64] | None:
    """The chance of each frame along an axis to be in the middle of a clip, (T,); None without a labelled frame.

    Labelled frames count once, those that the expert changed CHANGED_WEIGHT times.
    """
    present = frames_along(volume.labels, axis).any(axis=(1, 2)).astype(float)
    if not present.any():
        return None
    if volume.changed is not None:
        present *= np.where(frames_along(volume.changed, axis).any(axis=(1, 2)), CHANGED_WEIGHT, 1.0)
    return np.asarray(present / present.sum())


def clip_frames(
    volume: StoredVolume, axis: int, chances: NDArray[np.float64], count: int, random: np.random.Generator
) -> ClipFrames:
    """`count` frames around a drawn one, 1 to MOST_GAP apart, in either order; something is labelled on the first.

    A volume too short for them repeats its last frames.
    """
    centre = int(random.choice(len(chances), p=chances))
    last = len(chances) - 1
    gap = int(random.integers(1, max(1, min(MOST_GAP, last // max(count - 1, 1))) + 1))
    first = centre - gap * int(random.integers(count))
    indices = np.clip(first + gap * np.arange(count), 0, last)
    if random.random() < 0.5:
        indices = indices[::-1]
    if not chances[indices[0]]:  # begin at the drawn frame, which is labelled
        step = gap if indices[-1] >= indices[0] else -gap
        indices = np.clip(centre + step * np.arange(count), 0, last)
    return ClipFrames(axis=axis, indices=indices)


def crop_around(labels: NDArray[np.uint8], random: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a square, as far as the frame allows, around one object of the first frame.

    Shapes: labels (T, H, W).
    """
    numbers = np.unique(labels[0])
    number = random.choice(numbers[numbers > 0]) if numbers.any() else 0
    followed = (labels == number).any(axis=0) if number else np.ones(labels.shape[1:], dtype=bool)
    rows, columns = np.flatnonzero(followed.any(axis=1)), np.flatnonzero(followed.any(axis=0))
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    side = max(round(float(extent * random.uniform(*EXTENT))), SMALLEST_CROP)
    return tuple(
        _side(int(found[0] + found[-1]) // 2, side, length, random)
        for found, length in ((rows, labels.shape[1]), (columns, labels.shape[2]))
    )  # type: ignore[return-value]


def _side(centre: int, side: int, length: int, random: np.random.Generator) -> slice:
    shift = round(0.1 * side * random.uniform(-1, 1))
    start = min(max(centre + shift - side // 2, 0), max(length - side, 0))
    return slice(start, min(start + side, length))
