"""How well a network carries accepted labels from one seed slice each: the number that the gate compares."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.metrics import largest_frame, score_sequence
from imos_engine.propagation import Propagator
from imos_engine.sequence import FrameSequence, Seed, frames_along

MARGIN = 6  # frames beyond the labelled ones in which leaking counts


def carried_scores(propagator: Propagator, volume: AcceptedVolume) -> dict[str, float]:
    """J&F, 0 to 1, per label that occurs on more slices than its seed; each begins on its largest slice."""
    return label_scores(volume, carried_labels(propagator, volume))


def carried_labels(propagator: Propagator, volume: AcceptedVolume) -> NDArray[np.uint8]:
    """The volume's labels, each carried from its largest slice alone, MARGIN frames farther than they reach.

    Returns: (T, H, W), frames along the volume's axis.
    """
    images, truth = frames_along(volume.images, volume.axis), frames_along(volume.labels, volume.axis)
    predicted = np.zeros_like(truth)
    seeds_of = _seeds_of(volume, truth)
    if not seeds_of:
        return predicted
    seeds = []
    for index in sorted(set(seeds_of.values())):
        objects = frozenset(value for value, seed in seeds_of.items() if seed == index)
        labels = np.where(np.isin(truth[index], sorted(objects)), truth[index], 0)
        seeds.append(Seed(index=index, labels=labels, objects=objects))
    touched = np.flatnonzero(truth.any(axis=(1, 2)))
    frame_range = max(int(touched[0]) - MARGIN, 0), min(int(touched[-1]) + MARGIN, len(truth) - 1)
    for result in propagator.propagate(FrameSequence.under(images, seeds), seeds, frame_range=frame_range):
        predicted[result.index] = result.labels
    return predicted


def label_scores(volume: AcceptedVolume, predicted: NDArray[np.uint8]) -> dict[str, float]:
    """J&F, 0 to 1, per label that occurs on more slices than its seed.

    Shapes: predicted (T, H, W), as `carried_labels` returns it.
    """
    truth = frames_along(volume.labels, volume.axis)
    scores = {
        volume.present[value]: score_sequence(predicted == value, truth == value, seeds=[seed]).jf
        for value, seed in _seeds_of(volume, truth).items()
    }
    return {name: score for name, score in scores.items() if not math.isnan(score)}


def _seeds_of(volume: AcceptedVolume, truth: NDArray[np.uint8]) -> dict[int, int]:
    """The frame on which each label that occurs is largest."""
    return {value: largest_frame(truth == value) for value in volume.present}
