"""What came back for each structure, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imos_engine.metrics import SequenceScore, region_similarity, score_sequence
from imos_engine.sequence import frames_along
from scripts.demo.case import Case, Labels, Mask, Request, Structure


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server sent for one request."""

    request: Request
    labels: Labels  # (I, J, K)
    params: Mapping[str, Any]  # the JSON part
    asked_for: int | None = None  # the slice that the server had asked for, marked in this request


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One structure as it came back, in carrying order: every array is (T, H, W)."""

    structure: Structure
    mask: Mask
    truth: Mask | None
    marks: Mapping[str, Mask]  # by kind
    asked_for: int | None  # the slice that the server had asked for
    confidence: Mapping[int, float]  # by slice, 0 to 1

    @cached_property
    def seeds(self) -> list[int]:
        """Slices that a person marked."""
        marked = np.logical_or.reduce([mask.any(axis=(1, 2)) for mask in self.marks.values()])
        return [int(index) for index in np.flatnonzero(marked)]

    @property
    def extent(self) -> Mask:
        """Where it should be, or, without truth, where it was found."""
        return self.mask if self.truth is None else self.truth

    @cached_property
    def agreement(self) -> dict[int, float]:
        """J by slice, 0 to 1; empty without truth."""
        if self.truth is None:
            return {}
        held = np.flatnonzero((self.mask | self.truth).any(axis=(1, 2)))
        return {int(index): region_similarity(self.mask[index], self.truth[index]) for index in held}

    @cached_property
    def score(self) -> SequenceScore | None:
        """J and F of the slices that nobody marked, Dice of the volume; None without truth."""
        return None if self.truth is None else score_sequence(self.mask, self.truth, seeds=self.seeds)


def follow(case: Case, structure: Structure, reply: Reply) -> Followed:
    """One structure of a reply beside its truth."""
    confidence = reply.params["imos"]["confidence"].get(structure.name, {})
    marks = reply.request.marks_on(structure)
    return Followed(
        structure=structure,
        mask=frames_along(reply.labels == reply.params["label_names"].get(structure.name, 0), case.axis),
        truth=None if structure.truth is None else frames_along(structure.truth, case.axis),
        asked_for=reply.asked_for,
        marks={kind: frames_along(mask, case.axis) for kind, mask in marks.items()},
        confidence={int(index): value for index, value in confidence.items()},
    )


def print_scores(followed: Followed) -> None:
    """Print the scores beside those of copying the first marked slice to every slice that holds the structure."""
    name, mask, truth, seeds = followed.structure.name, followed.mask, followed.truth, followed.seeds
    marked = f"slice{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))} marked"
    if truth is None or followed.score is None:
        print(f"score     {name}, {marked}: none, there is no truth to compare with")
        return
    copied = truth.any(axis=(1, 2))[:, None, None] & mask[seeds[0]]
    print(f"score     {name}, {marked}: {_figures(followed.score)}")
    print(f"          that slice copied to all others: {_figures(score_sequence(copied, truth, seeds=seeds))}")


def _figures(score: SequenceScore) -> str:
    return f"J {score.j:.3f}  F {score.f:.3f}  J&F {score.jf:.3f}  Dice {score.dice:.3f}"
