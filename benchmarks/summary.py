"""From results of single labels to means per case, modality and overall, and to differences between methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.averages import Groups, interval, mean, mean_over_groups
from benchmarks.methods import OURS
from benchmarks.protocols import Measurement, RoundsMeasurement

Result = Measurement | RoundsMeasurement
Means = dict[str, dict[str, dict[str, float]]]  # row -> method -> score

MODALITIES_ALIKE = "all modalities alike"
LABELS_ALIKE = "all labels alike"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far one mean lies above another, both over the same labels."""

    row: str  # a modality, or MODALITIES_ALIKE
    first: float
    second: float
    second_name: str
    difference: float
    low: float
    high: float


def means_by(results: Sequence[Result], row: Callable[[Result], str]) -> Means:
    """Means over the labels of every row (`row` names the one a result belongs to)."""
    means: Means = {}
    for name in dict.fromkeys(row(result) for result in results):
        chosen = [result for result in results if row(result) == name]
        means[name] = {
            method: {score: mean([result.scores[score] for result in own]) for score in own[0].scores}
            for method, own in by_method(chosen).items()
        }
    return means


def summary(results: Sequence[Result]) -> Means:
    """Means per modality, over modalities and over labels; the first two with the interval of the headline score."""
    means = means_by(results, lambda result: result.modality)
    overall = {
        method: {score: mean([row[method][score] for row in means.values() if method in row]) for score in scores}
        for row in means.values()
        for method, scores in row.items()
    }
    means[MODALITIES_ALIKE] = overall
    for row, methods in means.items():
        for method, scores in methods.items():
            own = by_method(results)[method]
            values = headline_groups(own if row == MODALITIES_ALIKE else [one for one in own if one.modality == row])
            scores["low"], scores["high"] = interval(values)
    return means | means_by(results, lambda result: LABELS_ALIKE)


def by_method(results: Sequence[Result]) -> dict[str, list[Result]]:
    return {
        name: [result for result in results if result.method == name]
        for name in dict.fromkeys(result.method for result in results)
    }


def headline_groups(results: Sequence[Result]) -> Groups:
    """The score that a protocol ranks by, per modality."""
    return {
        name: [result.scores[result.HEADLINE] for result in results if result.modality == name]
        for name in dict.fromkeys(result.modality for result in results)
    }


def ours_above_best(results: Sequence[Result]) -> list[Difference]:
    """Ours minus the best training-free method, per modality (the best there) and overall (the best overall)."""
    methods = by_method(results)
    ours = methods.pop(OURS, [])
    if not ours or not methods:
        return []
    found = []
    for row in rows_of(ours):
        rivals = {name: within(own, row) for name, own in methods.items()}
        best = max(rivals, key=lambda name: mean_over_groups(headline_groups(rivals[name])))
        found.append(difference(within(ours, row), rivals[best], row=row, second_name=best))
    return found


def rows_of(results: Sequence[Result]) -> tuple[str, ...]:
    """The modalities of these results, then MODALITIES_ALIKE."""
    return (*dict.fromkeys(result.modality for result in results), MODALITIES_ALIKE)


def within(results: Sequence[Result], row: str) -> list[Result]:
    """The results of one modality, or all of them for MODALITIES_ALIKE."""
    return [result for result in results if row in (result.modality, MODALITIES_ALIKE)]


def difference(first: Sequence[Result], second: Sequence[Result], *, row: str, second_name: str) -> Difference:
    """Headline of `first` minus that of `second`, label by label."""
    others = {(result.case, result.label): result.scores[result.HEADLINE] for result in second}
    pairs = [(result.modality, result.scores[result.HEADLINE], others[result.case, result.label]) for result in first]
    modalities = dict.fromkeys(modality for modality, _, _ in pairs)
    gaps = {name: [mine - other for modality, mine, other in pairs if modality == name] for name in modalities}
    low, high = interval(gaps)
    return Difference(
        row=row,
        first=mean_over_groups(headline_groups(first)),
        second=mean_over_groups(headline_groups(second)),
        second_name=second_name,
        difference=mean_over_groups(gaps),
        low=low,
        high=high,
    )
