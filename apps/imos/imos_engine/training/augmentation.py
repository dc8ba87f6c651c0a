"""Changes of a clip that need no knowledge of how it was made."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imos_engine.intensity import Intensity

LARGEST_FIRST = 0.85  # share of the clips of tapering objects that begin at their larger end


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """Frames and the truth about them."""

    frames: NDArray[np.float32]  # (T, 3, H, W)
    labels: NDArray[np.uint8]  # (T, H, W), 0 background
    intensity: Intensity | None = None  # how the frames are normalised; None: by what the clip itself shows
    tapers: bool = False  # annotators mark such objects where they are largest
    known: bool = False  # shows what the network knew before: what it answered then is to stay


def augmented(clip: LabelledClip, random: np.random.Generator) -> LabelledClip:
    """The clip backwards in half of the cases, mirrored or turned by right angles, and sometimes without its colour.

    Clips of objects that taper mostly run from their larger end to the smaller one.
    """
    clip = _turned(clip, random)
    backwards = random.random() < 0.5
    if clip.tapers and random.random() < LARGEST_FIRST:
        backwards = np.count_nonzero(clip.labels[-1]) > np.count_nonzero(clip.labels[0])
    if backwards and clip.labels[-1].any():
        clip = replace(clip, frames=clip.frames[::-1], labels=clip.labels[::-1])
    if random.random() < 0.3:
        clip = replace(clip, frames=np.repeat(clip.frames.mean(axis=1, keepdims=True), 3, axis=1))
    return replace(clip, frames=np.ascontiguousarray(clip.frames), labels=np.ascontiguousarray(clip.labels))


def with_some_objects(
    clip: LabelledClip, most: int, random: np.random.Generator, *, min_pixels: int = 6
) -> LabelledClip:
    """Renumber at most `most` random objects of the first frame as 1, 2, ...; all others become background.

    What becomes background stays visible: the network learns to follow what was marked, not what stands out.
    """
    numbers, pixels = np.unique(clip.labels[0], return_counts=True)
    visible = numbers[(numbers > 0) & (pixels >= min_pixels)]
    chosen = random.permutation(visible)[:most]
    new_number = np.zeros(256, dtype=np.uint8)
    new_number[chosen] = np.arange(1, len(chosen) + 1)
    return replace(clip, labels=new_number[clip.labels])


def _turned(clip: LabelledClip, random: np.random.Generator) -> LabelledClip:
    turns = int(random.integers(4)) if clip.labels.shape[1] == clip.labels.shape[2] else 0
    frames, labels = np.rot90(clip.frames, turns, axes=(2, 3)), np.rot90(clip.labels, turns, axes=(1, 2))
    if random.random() < 0.5:
        frames, labels = frames[..., ::-1], labels[..., ::-1]
    return replace(clip, frames=frames, labels=labels)
