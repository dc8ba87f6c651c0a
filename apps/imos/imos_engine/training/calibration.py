"""Confidence that means something: coefficients fitted to the Dice that a network reaches on clips it never saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from imos_engine.config import PropagationConfig
from imos_engine.intensity import robust_intensity
from imos_engine.metrics import dice, region_similarity
from imos_engine.network import ImosNetwork
from imos_engine.propagation import FeatureCache, Propagator
from imos_engine.propagation.confidence import INTERCEPT, UNSIGNED, Calibration, Evidence
from imos_engine.sequence import FrameSequence, Seed
from imos_engine.synthesis import SequenceGenerator, SynthesisConfig, SyntheticClip

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
NEGLIGIBLE = 0.001  # of mean J: thresholds so near to the best are as good, and the one nearest to one half is taken
PRIOR_WEIGHT = 2.0  # pull towards the default coefficients; with few slices they hardly move
FOLDS = 5  # figures are of clips whose slices were not fitted

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """Which clips are carried."""

    clips: int = 16
    frames: int = 20  # per clip
    size: int = 128  # pixels, height and width of a frame
    seed: int = 990_101  # of the generator; training and validation must use others
    presence_threshold: float | None = None  # None: the one with the best mean J on the clips

    def __post_init__(self) -> None:
        """Refuse what cannot be split into folds, or has no frame away from its seeds."""
        if self.clips < 2:
            raise ValueError(f"calibration needs at least 2 clips, got {self.clips}")
        if self.frames < 8:
            raise ValueError(f"a clip needs at least 8 frames to be calibrated on, got {self.frames}")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One object on one frame that was not annotated."""

    clip: int
    object_id: int
    is_later: bool  # whether the frame comes after the last seed
    evidence: Evidence
    dice: float  # of what was shown; 1 where neither it nor the truth holds a pixel
    j: float
    truly_absent: bool


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A calibration, and how far its numbers can be trusted."""

    calibration: Calibration
    dice: Numbers  # (N,), of all slices
    expected: Numbers  # (N,), the confidence of each by coefficients that were fitted to other clips
    uncalibrated: Numbers  # (N,), the same by the default coefficients
    shown: NDArray[np.bool_]  # (N,), whether the slice got a mask; of the others each is right or wrong as a whole
    j_by_threshold: Mapping[float, float]  # mean J on clips with one seed, by presence threshold


def calibrate(network: ImosNetwork, config: CalibrationConfig, *, device: torch.device | str = "cpu") -> Calibrated:
    """Carry seeds through clips, choose the presence threshold, and fit the coefficients to what came out."""
    network.metadata = {}  # an earlier calibration must not decide what is shown
    generator = SequenceGenerator(SynthesisConfig(frames=config.frames, size=config.size), config.seed)
    clips = [generator.clip(index) for index in range(config.clips)]
    features = FeatureCache(PropagationConfig().feature_cache_bytes)
    every = PropagationConfig(presence_threshold=0.0, end_after=None)
    everything_shown = Propagator(network, settings=every, device=device, features=features)
    unhidden = list(carried_slices(everything_shown, clips[::2], both_ends=False))
    scores = j_by_threshold(unhidden, end_after=PropagationConfig().end_after)
    threshold = best_threshold(scores) if config.presence_threshold is None else config.presence_threshold
    usual = Propagator(
        network, settings=PropagationConfig(presence_threshold=threshold), device=device, features=features
    )
    one_seed = carried_slices(usual, clips[::2], both_ends=False)
    both_ends = [replace(one, clip=one.clip + len(clips)) for one in carried_slices(usual, clips[1::2], both_ends=True)]
    slices = [*one_seed, *both_ends]
    default = Calibration(presence_threshold=threshold)
    return Calibrated(
        calibration=fitted(slices, default),
        dice=np.array([one.dice for one in slices]),
        expected=cross_validated(slices, default),
        uncalibrated=np.array([default.confidence(one.evidence) for one in slices]),
        shown=np.array([not one.evidence.empty for one in slices], dtype=bool),
        j_by_threshold=scores,
    )


def carried_slices(propagator: Propagator, clips: Sequence[SyntheticClip], *, both_ends: bool) -> Iterator[Slice]:
    """Every object of every clip on every frame without a seed; clips are counted from 0."""
    for number, clip in enumerate(clips):
        seeds = seeds_of(clip.labels, both_ends=both_ends)
        images = clip.frames.transpose(0, 2, 3, 1)
        frames = FrameSequence(images, robust_intensity(images))
        for result in propagator.propagate(frames, seeds, image_key=(number, both_ends)):
            for object_id, evidence in result.evidence.items():
                shown, truth = result.labels == object_id, clip.labels[result.index] == object_id
                yield Slice(
                    clip=number,
                    object_id=object_id,
                    is_later=result.index > seeds[-1].index,
                    evidence=evidence,
                    dice=dice(shown, truth),
                    j=region_similarity(shown, truth),
                    truly_absent=not truth.any(),
                )


def seeds_of(labels: NDArray[np.uint8], *, both_ends: bool) -> list[Seed]:
    """One true seed a third into the clip; or one near its start and one where its objects were last seen together.

    Shapes: labels (T, H, W). What follows the second seed tells about ends, what lies between both about agreement.
    """
    count = len(labels)
    first = count // 8 if both_ends else count // 3
    objects = _objects(labels[first])
    if not objects:  # all have ended already
        first, objects = 0, _objects(labels[0])
    indices = [first]
    if both_ends:
        together = [index for index in range(first + 4, 1 + 3 * count // 4) if objects <= _objects(labels[index])]
        indices += together[-1:]
    return [
        Seed(index=index, labels=np.where(np.isin(labels[index], sorted(objects)), labels[index], 0), objects=objects)
        for index in indices
    ]


def _objects(labels: NDArray[np.uint8]) -> frozenset[int]:
    return frozenset(map(int, np.unique(labels))) - {0}


def j_by_threshold(slices: Sequence[Slice], *, end_after: int | None) -> dict[float, float]:
    """Mean J that each presence threshold would have given, from slices on which every object was shown.

    A direction ends after `end_after` frames without the object, as in a propagation.
    """
    scores: dict[float, list[float]] = {threshold: [] for threshold in THRESHOLDS}
    for way in _ways(slices):
        for threshold, collected in scores.items():
            absent = 0
            for one in way:
                gone = end_after is not None and absent >= end_after
                hidden = gone or one.evidence.empty or one.evidence.presence < threshold
                absent = absent + 1 if hidden else 0
                collected.append(float(one.truly_absent) if hidden else one.j)
    return {threshold: float(np.mean(collected)) for threshold, collected in scores.items() if collected}


def best_threshold(scores: Mapping[float, float]) -> float:
    """The threshold with the highest mean J; of those as good, the one nearest to one half."""
    best = max(scores.values(), default=0.0)
    good = [threshold for threshold, score in scores.items() if score >= best - NEGLIGIBLE]
    return min(good, key=lambda threshold: abs(threshold - 0.5), default=0.5)


def _ways(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Slices of one object of one clip on one side of its seed, in the order in which a pass meets them."""
    ways: dict[tuple[int, int, bool], list[Slice]] = {}
    for one in sorted(slices, key=lambda one: one.evidence.distance):
        ways.setdefault((one.clip, one.object_id, one.is_later), []).append(one)
    return list(ways.values())


def fitted(slices: Sequence[Slice], prior: Calibration) -> Calibration:
    """Coefficients under which the expected Dice is likeliest, masks and absences apart; the threshold is the prior's.

    No coefficient of a feature that speaks for the mask becomes negative, so better evidence never lowers confidence.
    """
    masks = [one for one in slices if not one.evidence.empty]
    absences = [one for one in slices if one.evidence.empty]
    return replace(prior, mask=fit(masks, prior.mask), empty=fit(absences, prior.empty))


def fit(slices: Sequence[Slice], prior: Mapping[str, float]) -> dict[str, float]:
    """Logistic regression of Dice on features, pulled towards the prior's coefficients and bounded below by 0."""
    names = list(prior)
    start = np.array([prior[name] for name in names])
    if not slices:
        return dict(prior)
    described = [{INTERCEPT: 1.0, **one.evidence.features} for one in slices]
    features = np.array([[one[name] for name in names] for one in described])
    targets = np.array([one.dice for one in slices])

    def loss(coefficients: Numbers) -> tuple[float, Numbers]:
        scores = features @ coefficients
        cost = np.logaddexp(0, scores) - targets * scores
        pull = coefficients - start
        gradient = features.T @ (expit(scores) - targets) + 2 * PRIOR_WEIGHT * pull
        return float(cost.sum() + PRIOR_WEIGHT * pull @ pull), gradient

    bounds = [(None, None) if name in UNSIGNED else (0.0, None) for name in names]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return {name: round(float(value), 4) for name, value in zip(names, found.x, strict=True)}


def cross_validated(slices: Sequence[Slice], prior: Calibration) -> Numbers:
    """Confidence of every slice by coefficients that were fitted to other clips, (N,)."""
    clips = sorted({one.clip for one in slices})
    fold_of = {clip: position % FOLDS for position, clip in enumerate(clips)}
    expected = np.zeros(len(slices))
    for fold in sorted(set(fold_of.values())):
        learned = fitted([one for one in slices if fold_of[one.clip] != fold], prior)
        for position, one in enumerate(slices):
            if fold_of[one.clip] == fold:
                expected[position] = learned.confidence(one.evidence)
    return expected
