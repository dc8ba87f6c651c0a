"""How well few annotated slices become a volume: our method beside what a user could do without training.

Every label of every case is carried alone. What a person gives, the protocol says:
  mask       the true mask on the slice where the label is largest
  scribbles  simulated strokes there instead, beside the mask: what is lost
  rounds     the mask there, then the mask of the slice with most wrong pixels, up to five slices
How frames are averaged is stated in `imos_engine/metrics/sequence_score.py`.

    python -m benchmarks.accuracy FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import torch

from benchmarks.carry import add_network_arguments
from benchmarks.cases import LabelledCase, SkippedLabel, find_cases, measurable_labels, read_case
from benchmarks.methods import Method, add_method_arguments, methods_from_arguments
from benchmarks.pictures import draw_comparison, draw_gallery, draw_rounds
from benchmarks.protocols import MASK, Measurement, RoundsMeasurement, Strokes, measure_label, measure_rounds
from benchmarks.report_file import Key, read_baselines, write_report
from benchmarks.simulated_prompts import KINDS
from benchmarks.summary import Difference, Result, by_method, difference, ours_above_best, rows_of, within
from benchmarks.tables import print_differences, print_results, print_skipped
from imos_engine.cli.inputs import DEFAULT_WEIGHTS
from imos_engine.prompts import learned_solver

PROMPT_WEIGHTS = DEFAULT_WEIGHTS.with_name("imos_prompts.safetensors")  # which the server takes too, where it exists
STROKES = [kind for kind in KINDS if kind.endswith("strokes")]


def chosen_cases(folder: Path, names: str | None) -> Iterator[LabelledCase]:
    """The cases below `folder`, or those of them that are named, separated by commas."""
    wanted = set(names.split(",")) if names else None
    for path in find_cases(folder):
        if wanted is None or path.name in wanted:
            yield read_case(path)


def add_choice_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cases and labels are measured, and on how many threads."""
    parser.add_argument("--cases", help="only these cases, by name, separated by commas")
    parser.add_argument("--labels-per-case", type=int, metavar="N", help="only the N largest labels of each case")
    parser.add_argument("--threads", type=int, default=1, help="of the network and the flow (default: 1)")


def measure_case(
    case: LabelledCase,
    labels: Sequence[int],
    methods: Mapping[str, Method],
    *,
    protocol: str = "mask",
    strokes: Strokes | None = None,
    known: Mapping[Key, Result] | None = None,
) -> list[Result]:
    """Every label by every method, from its mask and from `strokes` too; what is `known` is not measured again."""
    results: list[Result] = []
    for label in labels:
        for name, method in methods.items():
            for drawn in (None, strokes) if strokes else (None,):
                given = drawn.name if drawn else MASK
                found = (known or {}).get((case.name, case.label_names[label], name, given))
                if found is None and protocol == "rounds":
                    found = measure_rounds(case, label, name, method)
                elif found is None:
                    found = measure_label(case, label, name, method, strokes=drawn)
                results.append(found)
    return results


def lost_by_strokes(results: Sequence[Measurement]) -> dict[str, list[Difference]]:
    """Per method: J&F from strokes minus J&F from the mask, per modality and overall."""
    lost = {}
    for name, own in by_method(results).items():
        from_mask = [result for result in own if result.given == MASK]
        from_strokes = [result for result in own if result.given != MASK]
        lost[name] = [
            difference(within(from_strokes, row), within(from_mask, row), row=row, second_name=MASK)
            for row in rows_of(own)
        ]
    return lost


@contextmanager
def threads(count: int) -> Iterator[None]:
    """The networks' and the flow's threads, so that seconds can be compared."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    parser.add_argument("--protocol", choices=("mask", "rounds", "scribbles"), default="mask", help="default: mask")
    add_method_arguments(parser)
    add_network_arguments(parser)
    parser.add_argument("--strokes", choices=STROKES, default=Strokes().kind, help="what --protocol scribbles draws")
    parser.add_argument(
        "--prompt-weights",
        metavar="FILE",
        default=str(PROMPT_WEIGHTS) if PROMPT_WEIGHTS.is_file() else "none",
        help="of the network that makes masks of strokes; none: the classical solver (default: those bundled, if any)",
    )
    add_choice_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every number to this file")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="also draw the comparison and a gallery (PNG)")
    parser.add_argument(
        "--baselines-from", type=Path, metavar="FILE", help="take the training-free methods from what --json wrote"
    )
    return parser


def _measure_all(options: argparse.Namespace) -> tuple[list[Result], list[SkippedLabel]]:
    methods = methods_from_arguments(options)
    strokes = _strokes(options) if options.protocol == "scribbles" else None
    kind = RoundsMeasurement if options.protocol == "rounds" else Measurement
    known = read_baselines(options.baselines_from, kind) if options.baselines_from else {}
    results: list[Result] = []
    skipped: list[SkippedLabel] = []
    for case in chosen_cases(options.folder, options.cases):
        labels, left_out = measurable_labels(case, limit=options.labels_per_case)
        skipped += left_out
        for label in labels:
            print(f"{case.name}: {case.label_names[label]}", file=sys.stderr)
            results += measure_case(case, [label], methods, protocol=options.protocol, strokes=strokes, known=known)
    return results, skipped


def _strokes(options: argparse.Namespace) -> Strokes:
    if options.prompt_weights == "none":
        return Strokes(kind=options.strokes)
    return Strokes(kind=options.strokes, solver="learned", solve=learned_solver(options.prompt_weights))


def _print_report(results: Sequence[Result], options: argparse.Namespace) -> list[Difference]:
    """Print everything; returns the differences that were printed."""
    title = "ours minus the best training-free method, {}, 95% interval of the difference"
    if options.protocol != "scribbles":
        print_results(results)
        differences = ours_above_best(results)
        print_differences(title.format("mean Dice" if options.protocol == "rounds" else "J&F"), differences)
        return differences
    differences = []
    for given in dict.fromkeys(result.given for result in results):
        print(f"\nfrom {given}")
        chosen = [result for result in results if result.given == given]
        print_results(chosen)
        gaps = ours_above_best(chosen)
        print_differences(title.format("J&F"), gaps)
        differences += gaps
    for name, lost in lost_by_strokes(results).items():
        print_differences(f"{name}: J&F from {options.strokes} minus J&F from the mask", lost)
        differences += lost
    return differences


def _draw(results: Sequence[Result], options: argparse.Namespace) -> None:
    options.plots.mkdir(parents=True, exist_ok=True)
    from_mask = [result for result in results if isinstance(result, Measurement) and result.given == MASK]
    if options.protocol == "rounds":
        draw_rounds(options.plots / "rounds.png", results)
        return
    draw_comparison(options.plots / "comparison.png", from_mask)
    first, method = next(iter(methods_from_arguments(options).items()))
    own = [result for result in from_mask if result.method == first]
    draw_gallery(options.plots / "gallery.png", own, list(chosen_cases(options.folder, options.cases)), method)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    with threads(options.threads):
        results, skipped = _measure_all(options)
        if not results:
            print(f"nothing to measure in {options.folder}: no case is named like --cases asks", file=sys.stderr)
            return 1
        differences = _print_report(results, options)
        print_skipped(skipped)
        if options.json:
            write_report(options.json, results, differences, skipped)
        if options.plots:
            _draw(results, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
