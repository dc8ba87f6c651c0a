"""How made clips differ from real images in what the network goes by: likeness, edges, motion, change.

A network learns from made clips how far each cue can be trusted. Where a cue is worth more there than in real images it
learns to trust it too much. Everything is looked at through the server's windows around the object.

    python -m benchmarks.realism FOLDER                one row per modality, made and real
    python -m benchmarks.realism FOLDER --clips 300    more made clips
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import mannwhitneyu

from benchmarks.accuracy import threads
from benchmarks.cases import find_cases, measurable_labels, read_case
from imos_engine.config import PropagationConfig
from imos_engine.intensity import robust_intensity
from imos_engine.metrics import region_similarity
from imos_engine.motion import follow
from imos_engine.network.likeness import LikenessModel, filter_bank, fit_likeness, seed_moments
from imos_engine.propagation.motion_field import MotionField
from imos_engine.propagation.resizing import FrameGrid
from imos_engine.propagation.timings import Timings
from imos_engine.propagation.window import Windows, extent_of
from imos_engine.sequence import FrameSequence, Seed, frames_along
from imos_engine.synthesis import SequenceGenerator, SynthesisConfig

Mask = NDArray[np.bool_]

FARTHEST = 8  # frames from the seed
NEAR = 12  # pixels of the window's grid around the true outline, in which a mask may go wrong
SURROUNDINGS = 20  # pixels around the object with whose edges its outline is compared
LEAST_PIXELS = 15  # of an object on a frame that counts
CLIP = SynthesisConfig(frames=FARTHEST + 1, size=160)
CLIP_SEED = 555  # of the generator: no recipe uses it
NAMES = {"CT": "ct", "MRI": "mr", "Ultrasound": "ultrasound", "Endoscopy": "endoscopy", "Electron microscopy": "em"}


@dataclass(frozen=True, kw_only=True)
class Cues:
    """What is known about an object's next masks, from its seed on. Means over frames."""

    alike: float  # area under the ROC curve of likeness near the outline, one and two frames from the seed
    alike_later: float  # the same, three to eight frames from it
    edge: float  # brightness gradient on the seed's outline over that around the object
    still: float  # J of the neighbouring frame's true mask where it is
    moved: float  # J of the same mask moved along the optical flow
    change: float  # normalised grey that the flow leaves unexplained near the outline


class LabelledObject:
    """One object of a sequence, seen as the server's network sees it."""

    def __init__(self, frames: FrameSequence, truth: Mask, seed: int) -> None:
        """Shapes: truth (T, H, W)."""
        settings, extent = PropagationConfig(), extent_of(truth[seed])
        self.grid: FrameGrid = Windows(frames.size, settings.size, settings.window).around(extent)
        self.masks: Mask = self.grid.shrink(torch.from_numpy(truth.astype(np.float32))).numpy() > 0.5  # (T, h, w)
        self.seed, self._frames = seed, frames
        self._motion = MotionField(frames, device=torch.device("cpu"), timings=Timings())

    def image(self, index: int) -> torch.Tensor:
        """(1, 3, h, w)."""
        return self.grid.shrink(self._frames.normalised(index, index + 1))

    def neighbours(self) -> Iterator[tuple[int, int]]:
        """Frames that show the object, away from the seed on both sides, each with the one before it."""
        for step in (1, -1):
            for index in range(self.seed + step, self.seed + step * (FARTHEST + 1), step):
                if not 0 <= index < len(self.masks) or self.masks[index].sum() < LEAST_PIXELS:
                    break
                yield index, index - step

    def moved(self, index: int, neighbour: int) -> tuple[Mask, NDArray[np.float32]]:
        """The neighbour's true mask and its grey picture, moved along the flow, both (h, w)."""
        flow = self._motion.between(index, self.grid, neighbour, self.grid)
        mask = torch.from_numpy(self.masks[neighbour].astype(np.float32))[None, None]
        planes = torch.cat((mask, self.image(neighbour).mean(1, keepdim=True)), dim=1)
        mask, grey = follow(planes, flow)[0].numpy()
        return mask > 0.5, grey


def cues_of(seen: LabelledObject) -> Cues | None:
    """All that is measured of an object; None where it, or what surrounds it, is too small for that."""
    seed = seen.masks[seen.seed]
    if min(seed.sum(), (~seed).sum()) < LEAST_PIXELS:
        return None
    masks = torch.from_numpy(seed.astype(np.float32))[None, None]
    model = fit_likeness(seed_moments(filter_bank(seen.image(seen.seed)), masks))
    soon, later, still, moved, change = [], [], [], [], []
    for index, neighbour in seen.neighbours():
        image, mask, (carried, grey) = seen.image(index), seen.masks[index], seen.moved(index, neighbour)
        near = _distance(mask) <= NEAR
        (soon if abs(index - seen.seed) <= 2 else later).append(_told_apart(model, image, mask, near))
        still.append(region_similarity(seen.masks[neighbour], mask))
        moved.append(region_similarity(carried, mask))
        change.append(np.abs(grey - image[0].mean(0).numpy())[near].mean())
    if not soon:
        return None
    return Cues(
        alike=float(np.mean(soon)), alike_later=float(np.mean(later)) if later else np.nan, edge=_edge(seen, seed),
        still=float(np.mean(still)), moved=float(np.mean(moved)), change=float(np.mean(change)),
    )  # fmt: skip


def _told_apart(model: LikenessModel, image: torch.Tensor, mask: Mask, near: Mask) -> float:
    """Chance that a pixel of the object has more likeness than one beside it."""
    scores = model(filter_bank(image)).scores[0, 0].numpy()
    inside, beside = scores[mask & near], scores[~mask & near]
    return float(mannwhitneyu(inside, beside).statistic / (len(inside) * len(beside)))


def _edge(seen: LabelledObject, seed: Mask) -> float:
    gradient = ndimage.gaussian_gradient_magnitude(seen.image(seen.seed)[0].mean(0).numpy(), 1)
    distance = _distance(seed)
    around = seed | (distance < SURROUNDINGS)
    return float(gradient[distance <= 1.5].mean() / gradient[around].mean())


def _distance(mask: Mask) -> NDArray[np.floating]:
    """Pixels from every pixel to the outline, on both sides of it."""
    distance: NDArray[np.floating] = np.where(
        mask, ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    )
    return distance


def real_objects(folder: Path) -> Iterator[tuple[str, LabelledObject]]:
    """Every label of every case, from the slice where it is largest."""
    for case in map(read_case, find_cases(folder)):
        images = frames_along(case.image, case.slice_axis)
        for label in measurable_labels(case)[0]:
            truth, seed = case.label_mask(label), case.seed_frame(label)
            marked = Seed(index=seed, labels=truth[seed], objects=frozenset({1}))
            seen = LabelledObject(FrameSequence.under(images, [marked]), truth, seed)
            yield NAMES.get(case.modality, case.modality), seen


def made_objects(clips: int) -> Iterator[tuple[str, LabelledObject]]:
    """Every object of made clips, from its first frame, or where it is larger if it tapers: as in training."""
    generator = SequenceGenerator(CLIP, CLIP_SEED)
    for clip in map(generator.clip, range(clips)):
        images = np.ascontiguousarray(clip.frames.transpose(0, 2, 3, 1))
        frames = FrameSequence(images, robust_intensity(images))
        for label in range(1, int(clip.labels.max()) + 1):
            truth = clip.labels == label
            is_larger_at_the_end = clip.tapers and truth[-1].sum() > truth[0].sum()
            yield clip.modality, LabelledObject(frames, truth, len(truth) - 1 if is_larger_at_the_end else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="labelled cases")
    parser.add_argument("--clips", type=int, default=150, help="made clips (default 150)")
    options = parser.parse_args()
    found: defaultdict[tuple[str, str], list[Cues]] = defaultdict(list)
    with threads(1):
        for source, objects in (("made", made_objects(options.clips)), ("real", real_objects(options.folder))):
            for modality, seen in objects:
                if (cues := cues_of(seen)) is not None:
                    found[modality, source].append(cues)
    names = [field.name for field in fields(Cues)]
    print(f"| | objects | {' | '.join(name.replace('_', ' ') for name in names)} |\n|---|---|" + "---|" * len(names))
    for (modality, source), cues in sorted(found.items()):
        means = (np.nanmean([asdict(one)[name] for one in cues]) for name in names)
        print(f"| {modality}, {source} | {len(cues)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


if __name__ == "__main__":
    main()
