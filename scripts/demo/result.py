"""What came back for each structure, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imos_engine.metrics import SequenceScore, region_similarity, score_sequence
from imos_engine.sequence import frames_along
from scripts.demo.case import Case, Labels, Mask, Structure


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One structure as it came back, in carrying order."""

    structure: Structure
    mask: Mask  # (T, H, W)
    truth: Mask | None  # (T, H, W)
    seeds: list[int]  # slices that a person marked
    confidence: dict[int, float]  # by slice, 0 to 1

    @property
    def extent(self) -> Mask:
        """Where it is, or should be, (T, H, W)."""
        return self.mask if self.truth is None else self.mask | self.truth

    @cached_property
    def agreement(self) -> dict[int, float]:
        """J by slice, 0 to 1; empty without truth."""
        if self.truth is None:
            return {}
        held = np.flatnonzero(self.extent.any(axis=(1, 2)))
        return {int(index): region_similarity(self.mask[index], self.truth[index]) for index in held}

    @cached_property
    def score(self) -> SequenceScore | None:
        """J and F of the slices that nobody marked, Dice of the volume; None without truth."""
        return None if self.truth is None else score_sequence(self.mask, self.truth, seeds=self.seeds)


def follow(case: Case, structure: Structure, labels: Labels, confidence: Mapping[str, Mapping[str, float]]) -> Followed:
    """One structure of the label map (I, J, K) that came back, beside its truth."""
    by_slice = confidence.get(structure.name, {})
    return Followed(
        structure=structure,
        mask=frames_along(labels == structure.label, case.axis),
        truth=None if structure.truth is None else frames_along(structure.truth, case.axis),
        seeds=case.seed_slices(structure),
        confidence={int(index): value for index, value in by_slice.items()},
    )


def print_scores(followed: Followed) -> None:
    """Print the scores beside those of copying the marked slice to every slice that holds the structure."""
    name, mask, truth, seeds = followed.structure.name, followed.mask, followed.truth, followed.seeds
    if truth is None or followed.score is None:
        print(f"score     {name}: none, there is no truth to compare with")
        return
    copied = truth.any(axis=(1, 2))[:, None, None] & mask[seeds[0]]
    repeated = score_sequence(copied, truth, seeds=seeds)
    print(f"score     {name}: {_figures(followed.score)}; J of the marked slice {followed.agreement[seeds[0]]:.3f}")
    print(f"          (the marked slice copied to the {repeated.frames} others: {_figures(repeated)})")


def _figures(score: SequenceScore) -> str:
    return f"J {score.j:.3f}  F {score.f:.3f}  J&F {score.jf:.3f}  Dice {score.dice:.3f}"
