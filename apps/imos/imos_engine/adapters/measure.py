"""How well a network carries accepted labels from one seed slice each: the number that the gate compares."""

from __future__ import annotations

import math

import numpy as np

from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.intensity import automatic_intensity
from imos_engine.metrics import largest_frame, score_sequence
from imos_engine.propagation import Propagator
from imos_engine.sequence import FrameSequence, Seed, frames_along

MARGIN = 6  # frames beyond the labelled ones in which leaking counts


def carried_scores(propagator: Propagator, volume: AcceptedVolume) -> dict[str, float]:
    """J&F, 0 to 1, per label that occurs on more slices than its seed; each begins on its largest slice."""
    images, truth = frames_along(volume.images, volume.axis), frames_along(volume.labels, volume.axis)
    seeds_of = {value: largest_frame(truth == value) for value in volume.present}
    if not seeds_of:
        return {}
    seeds = []
    for index in sorted(set(seeds_of.values())):
        objects = frozenset(value for value, seed in seeds_of.items() if seed == index)
        labels = np.where(np.isin(truth[index], sorted(objects)), truth[index], 0)
        seeds.append(Seed(index=index, labels=labels, objects=objects))
    annotated = np.zeros(truth.shape, dtype=bool)
    for seed in seeds:
        annotated[seed.index] = seed.labels != 0
    touched = np.flatnonzero(truth.any(axis=(1, 2)))
    frame_range = max(int(touched[0]) - MARGIN, 0), min(int(touched[-1]) + MARGIN, len(truth) - 1)
    predicted = np.zeros_like(truth)
    sequence = FrameSequence(images, automatic_intensity(images, annotated))
    for result in propagator.propagate(sequence, seeds, frame_range=frame_range):
        predicted[result.index] = result.labels
    scores = {
        volume.present[value]: score_sequence(predicted == value, truth == value, seeds=[seed]).jf
        for value, seed in seeds_of.items()
    }
    return {name: score for name, score in scores.items() if not math.isnan(score)}
