"""What a run prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cases import SkippedLabel
from benchmarks.summary import Difference, Means, Result, means_by, summary

HEADINGS = {"j": "J", "f": "F", "jf": "J&F", "dice": "Dice", "seconds_per_frame": "s/frame"}
HEADLINES = {"jf": "J&F", "mean": "mean Dice"}


def print_results(results: Sequence[Result]) -> None:
    """Every label, every case, every modality and all, with every score of every method."""
    headline = HEADLINES[results[0].HEADLINE]
    print_means("label", means_by(results, lambda result: f"{result.case[:20]}: {result.label[:26]}"))
    print_means("case", means_by(results, lambda result: result.case))
    counts = {name: len(labels) for name, labels in _labels_by_modality(results).items()}
    print_means("modality", summary(results), counts=counts, interval_of=headline)


def print_means(
    title: str, means: Means, *, counts: dict[str, int] | None = None, interval_of: str | None = None
) -> None:
    scores = [name for name in next(iter(next(iter(means.values())).values())) if name not in ("low", "high")]
    heading = "".join(f"{HEADINGS.get(name, name):>9}" for name in scores)
    print(f"\n{title:50}{'method':15}{heading}" + (f"   95% interval of {interval_of}" if interval_of else ""))
    for row, methods in means.items():
        name = f"{row} ({counts[row]})" if counts and row in counts else row
        for method, values in methods.items():
            columns = "".join(f"{values[score]:9.3f}" for score in scores)
            print(f"{name:50}{method:15}{columns}{_interval(values.get('low'), values.get('high'))}")
            name = ""


def print_differences(title: str, differences: Sequence[Difference]) -> None:
    if not differences:
        return
    print(f"\n{title}")
    for one in differences:
        print(
            f"{one.row:24}{one.first:.3f} - {one.second:.3f} ({one.second_name:13}) = {one.difference:+.3f}"
            f"{_interval(one.low, one.high)}"
        )


def print_skipped(skipped: Sequence[SkippedLabel]) -> None:
    for one in skipped:
        print(f"not measured: {one.case} {one.label}: {one.reason}")


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return "   one label, no interval" if np.isnan(low) else f"   [{low:.3f}, {high:.3f}]"


def _labels_by_modality(results: Sequence[Result]) -> dict[str, set[tuple[str, str]]]:
    return {
        modality: {(result.case, result.label) for result in results if result.modality == modality}
        for modality in dict.fromkeys(result.modality for result in results)
    }
