"""How well one annotated slice becomes a volume, on every labelled case of a folder.

Each label is seeded by its own true mask on the slice where it is largest, and carried alone through the case. Beside
our scores stand those of repeating the seed mask on every slice: what a user would get without any method.
The convention by which frames are averaged is stated in `imos_engine/metrics/sequence_score.py`.

    python -m benchmarks.accuracy FOLDER
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.carry import Carrier, add_network_arguments, carrier_from_arguments
from benchmarks.cases import LabelledCase, SkippedLabel, find_cases, measurable_labels, read_case
from imos_engine.metrics import SequenceScore, score_sequence

SCORES = ("j", "f", "jf", "dice", "leak")
HEADINGS = ("J", "F", "J&F", "Dice", "leak")


@dataclass(frozen=True, kw_only=True)
class LabelResult:
    """One label of one case, carried by the method and by repeating the seed."""

    case: str
    modality: str
    label: str
    seed_frame: int
    ours: SequenceScore
    repeat: SequenceScore
    seconds_per_frame: float


def repeat_seed(truth: NDArray[np.bool_], seed_frame: int) -> NDArray[np.bool_]:
    """The baseline: the seed mask on every frame, (T, H, W)."""
    return np.broadcast_to(truth[seed_frame], truth.shape)


def measure_case(
    case: LabelledCase,
    groups: Sequence[Sequence[int]],
    carry: Carrier,
    *,
    report: Callable[[str], None] = lambda text: None,
) -> list[LabelResult]:
    """Carry each group of labels (which share a seed frame) in one call, and score every label."""
    results = []
    for group in groups:
        report(f"{case.name}: {', '.join(case.label_names[label] for label in group)}")
        start = time.perf_counter()
        predicted = carry(case, group)
        seconds = (time.perf_counter() - start) / len(case.true_frames)
        results += [_score_label(case, label, predicted == label, seconds) for label in group]
    return results


def group_labels(case: LabelledCase, labels: Sequence[int], *, together: bool) -> list[list[int]]:
    """One group per label, or one per seed frame when labels are carried together."""
    if not together:
        return [[label] for label in labels]
    frames = sorted({case.seed_frame(label) for label in labels})
    return [[label for label in labels if case.seed_frame(label) == frame] for frame in frames]


def mean_score(results: Sequence[LabelResult], method: str, score: str) -> float:
    """Mean over labels; a leak that is unknown is left out."""
    values = [getattr(getattr(result, method), score) for result in results]
    return float(np.nanmean(values)) if len(values) else float("nan")


def by_modality(results: Sequence[LabelResult]) -> dict[str, list[LabelResult]]:
    return {
        name: [result for result in results if result.modality == name]
        for name in dict.fromkeys(result.modality for result in results)
    }


def summary(results: Sequence[LabelResult]) -> dict[str, dict[str, dict[str, float]]]:
    """Means per modality, over modalities (each weighing the same) and over labels: row -> method -> score."""

    def means(chosen: Sequence[LabelResult]) -> dict[str, dict[str, float]]:
        return {method: {score: mean_score(chosen, method, score) for score in SCORES} for method in ("ours", "repeat")}

    rows = {name: means(chosen) for name, chosen in by_modality(results).items()}
    overall = {
        method: {score: float(np.mean([row[method][score] for row in rows.values()])) for score in SCORES}
        for method in ("ours", "repeat")
    }
    return rows | {"all modalities alike": overall, "all labels alike": means(results)}


def _score_label(case: LabelledCase, label: int, predicted: NDArray[np.bool_], seconds: float) -> LabelResult:
    truth, seed = case.label_mask(label), case.seed_frame(label)
    return LabelResult(
        case=case.name,
        modality=case.modality,
        label=case.label_names[label],
        seed_frame=seed,
        ours=score_sequence(predicted, truth, seeds=[seed]),
        repeat=score_sequence(repeat_seed(truth, seed), truth, seeds=[seed]),
        seconds_per_frame=seconds,
    )


def _print_results(results: Sequence[LabelResult]) -> None:
    print(f"{'':54}{'ours':^37}|{'seed repeated':^37}|")
    heading = "".join(f"{name:>7}" for name in HEADINGS)
    print(f"{'case':22}{'label':28}{'seed':>4}{heading}  |{heading}  | s/frame")
    for result in results:
        ours, repeat = ({score: getattr(scores, score) for score in SCORES} for scores in (result.ours, result.repeat))
        print(
            f"{result.case[:21]:22}{result.label[:27]:28}{result.seed_frame:>4}{_columns(ours)}  |{_columns(repeat)}  |"
            f"{result.seconds_per_frame:8.3f}"
        )


def _print_summary(results: Sequence[LabelResult]) -> None:
    counts = {name: len(chosen) for name, chosen in by_modality(results).items()}
    print(f"\n{'mean':54}{'ours':^37}|{'seed repeated':^37}|    gain in J&F")
    for name, row in summary(results).items():
        gain = row["ours"]["jf"] - row["repeat"]["jf"]
        labels = f"{counts.get(name, len(results))} labels"
        print(f"{name:40}{labels:>14}{_columns(row['ours'])}  |{_columns(row['repeat'])}  |{gain:+8.3f}")
    print(f"\nmean seconds per frame: {np.mean([result.seconds_per_frame for result in results]):.3f}")


def _columns(scores: dict[str, float]) -> str:
    return "".join(f"{scores[score]:7.3f}" for score in SCORES)


def _print_skipped(skipped: Sequence[SkippedLabel]) -> None:
    for one in skipped:
        print(f"not measured: {one.case} {one.label}: {one.reason}")


def _write_json(path: Path, results: Sequence[LabelResult], skipped: Sequence[SkippedLabel]) -> None:
    labels = [asdict(result) for result in results]
    for row, result in zip(labels, results, strict=True):
        row["ours"]["jf"], row["repeat"]["jf"] = result.ours.jf, result.repeat.jf
    report = {"labels": labels, "means": summary(results), "skipped": [asdict(one) for one in skipped]}
    path.write_text(json.dumps(report, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    add_network_arguments(parser)
    parser.add_argument("--cases", help="only these cases, by name, separated by commas")
    parser.add_argument("--labels-per-case", type=int, metavar="N", help="only the N largest labels of each case")
    parser.add_argument("--together", action="store_true", help="carry labels that share a seed slice in one call")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every number to this file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    carry = carrier_from_arguments(options)
    wanted = set(options.cases.split(",")) if options.cases else None
    results: list[LabelResult] = []
    skipped: list[SkippedLabel] = []
    for folder in find_cases(options.folder):
        if wanted is not None and folder.name not in wanted:
            continue
        case = read_case(folder)
        labels, left_out = measurable_labels(case, limit=options.labels_per_case)
        groups = group_labels(case, labels, together=options.together)
        results += measure_case(case, groups, carry, report=lambda text: print(text, file=sys.stderr))
        skipped += left_out
    if not results:
        print(f"nothing to measure in {options.folder}: no case is named like --cases asks", file=sys.stderr)
        return 1
    _print_results(results)
    _print_skipped(skipped)
    _print_summary(results)
    if options.json:
        _write_json(options.json, results, skipped)
    return 0


if __name__ == "__main__":
    sys.exit(main())
