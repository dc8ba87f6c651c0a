"""What is measured of one label: from its true mask, from strokes, or while an annotator adds slice after slice."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import LabelledCase
from benchmarks.methods import Method
from benchmarks.simulated_prompts import KINDS, as_served
from imos_engine.metrics import dice, score_sequence
from imos_engine.prompts import SliceSolver, classical_solver
from imos_engine.sequence import frames_along

Mask = NDArray[np.bool_]

MASK = "mask"
ROUNDS = 5  # annotated frames at most


@dataclass(frozen=True, kw_only=True)
class Strokes:
    """What a person draws on the seed frame instead of the mask, and what makes a mask of it."""

    kind: str = "3 strokes"  # of KINDS
    solver: str = "classical"  # its name in reports
    solve: SliceSolver = classical_solver

    @property
    def name(self) -> str:
        return f"{self.kind} ({self.solver})"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One label of one case, carried by one method from one frame."""

    HEADLINE: ClassVar = "jf"
    case: str
    modality: str
    label: str
    method: str
    given: str  # MASK, or the name of the strokes from which the seed frame's mask was made
    seed_frame: int
    j: float
    f: float
    jf: float
    dice: float
    leak: float
    seconds_per_frame: float

    @property
    def scores(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in ("j", "f", "jf", "dice", "leak", "seconds_per_frame")}


@dataclass(frozen=True, kw_only=True)
class RoundsMeasurement:
    """One label of one case, carried by one method from one, two, ... true masks."""

    HEADLINE: ClassVar = "mean"
    case: str
    modality: str
    label: str
    method: str
    frames: tuple[int, ...]  # in the order in which they were annotated; fewer than ROUNDS once nothing is wrong
    dice: tuple[float, ...]  # after 1 to ROUNDS annotated frames
    seconds_per_frame: float  # mean over the rounds

    @property
    def scores(self) -> dict[str, float]:
        after = {f"after {count}": score for count, score in enumerate(self.dice, start=1)}
        return after | {"mean": float(np.mean(self.dice)), "seconds_per_frame": self.seconds_per_frame}


def measure_label(
    case: LabelledCase, label: int, name: str, method: Method, *, strokes: Strokes | None = None
) -> Measurement:
    """Carry one label from its largest frame and score it.

    J and F leave the seed frame out in every protocol, so that only carrying is compared; Dice includes it.
    """
    truth, seed = case.label_mask(label), case.seed_frame(label)
    mask = truth[seed] if strokes is None else mask_from_strokes(case, label, strokes)
    predicted, seconds = _timed(method, case, {seed: mask})
    score = score_sequence(predicted, truth, seeds=[seed])
    return Measurement(
        case=case.name,
        modality=case.modality,
        label=case.label_names[label],
        method=name,
        given=MASK if strokes is None else strokes.name,
        seed_frame=seed,
        j=score.j,
        f=score.f,
        jf=score.jf,
        dice=score.dice,
        leak=score.leak,
        seconds_per_frame=seconds,
    )


def measure_rounds(case: LabelledCase, label: int, name: str, method: Method) -> RoundsMeasurement:
    """A simulated annotator paints the largest frame, then again and again the one that is worst."""
    truth = case.label_mask(label)
    frames, scores, seconds = [case.seed_frame(label)], [], []
    while len(scores) < ROUNDS:
        predicted, elapsed = _timed(method, case, {index: truth[index] for index in frames})
        scores.append(dice(predicted, truth))
        seconds.append(elapsed)
        worst = worst_frame(predicted, truth)
        if worst is None:
            scores += [scores[-1]] * (ROUNDS - len(scores))
        else:
            frames.append(worst)
    return RoundsMeasurement(
        case=case.name,
        modality=case.modality,
        label=case.label_names[label],
        method=name,
        frames=tuple(frames[:ROUNDS]),
        dice=tuple(scores),
        seconds_per_frame=float(np.mean(seconds)),
    )


def worst_frame(predicted: Mask, truth: Mask) -> int | None:
    """The frame with most wrong pixels, the first of equals; None if every pixel is right."""
    wrong = (predicted != truth).sum(axis=(1, 2))
    return int(wrong.argmax()) if wrong.any() else None


def mask_from_strokes(case: LabelledCase, label: int, strokes: Strokes) -> Mask:
    """The seed frame's mask as the engine makes it from simulated strokes, (H, W); the same on every call."""
    seed = case.seed_frame(label)
    truth = case.label_mask(label)[seed]
    generator = np.random.default_rng(zlib.crc32(f"{case.name}/{label}/{strokes.kind}/0".encode()))
    prompts = KINDS[strokes.kind](truth, generator)
    return strokes.solve(as_served(frames_along(case.image, case.slice_axis), seed, prompts), prompts) > 0.5


def _timed(method: Method, case: LabelledCase, seeds: Mapping[int, Mask]) -> tuple[Mask, float]:
    """What the method predicts, and its seconds per frame."""
    images: NDArray[Any] = frames_along(case.image, case.slice_axis)
    start = time.perf_counter()
    predicted = method(images, seeds)
    return predicted, (time.perf_counter() - start) / len(images)
