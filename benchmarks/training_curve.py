"""J&F against what training cost: every snapshot that a run kept, and its last weights, on labelled cases.

Every label is carried from its true mask on its largest slice, as `benchmarks.accuracy` does. A run keeps snapshots if
its recipe says `keep_snapshots = N` (steps). The curve is for looking at a run that is over, not for choosing among its
snapshots: that would be training on the cases.

    python -m benchmarks.training_curve RUN FOLDER [--picture curve.png]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.accuracy import add_choice_arguments, chosen_cases, threads
from benchmarks.carry import NetworkCarrier, add_setup_arguments, setup_from_arguments
from benchmarks.cases import measurable_labels
from benchmarks.protocols import Measurement, measure_label
from benchmarks.summary import LABELS_ALIKE, MODALITIES_ALIKE, Means, summary
from imos_engine.cli.inputs import find_device
from imos_engine.network.checkpoint import load_network, read_metadata
from imos_engine.training.curves import read_series
from imos_engine.training.journal import LOG_NAME
from imos_engine.training.run_folder import SNAPSHOTS, WEIGHTS_NAME

MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Averaged weights at one point of a run, and what they had cost by then."""

    path: Path
    steps: int  # of the optimizer
    minutes: float  # wall clock of training, on the machine that the run's environment.json names
    frames: int  # frames that the network had learned from


def read_snapshot(path: Path) -> Snapshot:
    spent = read_metadata(path)
    if missing := sorted({"steps", "minutes", "frames"} - spent.keys()):
        raise ValueError(f"{path} does not say after how many {missing[0]} it was written; it is no run's snapshot")
    return Snapshot(path=path, steps=int(spent["steps"]), minutes=float(spent["minutes"]), frames=int(spent["frames"]))


def snapshots_of(run: Path, *, every: int = 1) -> list[Snapshot]:
    """Every n-th snapshot of a run, and its last weights, in the order of their steps."""
    kept = sorted((run / SNAPSHOTS).glob("*.safetensors"))
    if not kept:
        raise ValueError(f"{run} holds no snapshots; train with keep_snapshots = N (steps) in the recipe")
    chosen = {snapshot.steps: snapshot for snapshot in map(read_snapshot, kept[every - 1 :: every])}
    if (run / WEIGHTS_NAME).is_file():
        last = read_snapshot(run / WEIGHTS_NAME)
        chosen[last.steps] = last
    return sorted(chosen.values(), key=lambda snapshot: snapshot.steps)


def markdown_table(means: Means, snapshots: dict[str, Snapshot], validation: dict[int, float]) -> str:
    """One row per snapshot; `means` names it as `snapshots` does, `validation` holds J on held-out clips by step."""
    modalities = [row for row in means if row not in (MODALITIES_ALIKE, LABELS_ALIKE)]
    heading = ["steps", "minutes", "frames (million)", "J held out", *modalities, "J&F", "leak"]
    lines = [f"| {' | '.join(heading)} |", "|---:" * len(heading) + "|"]
    for name, snapshot in snapshots.items():
        overall = means[MODALITIES_ALIKE][name]
        known = validation.get(snapshot.steps)
        cells = [str(snapshot.steps), f"{snapshot.minutes:.1f}", f"{snapshot.frames / MILLION:.3f}"]
        cells += ["" if known is None else f"{known:.3f}"]
        cells += [f"{means[row][name]['jf']:.3f}" for row in modalities]
        cells += [f"{overall['jf']:.3f} [{overall['low']:.3f}, {overall['high']:.3f}]", f"{overall['leak']:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_curve(path: Path, means: Means, snapshots: dict[str, Snapshot], validation: dict[int, float]) -> None:
    """J&F per modality and overall, with its interval, against the frames learned from."""
    frames = [snapshot.frames / MILLION for snapshot in snapshots.values()]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for row, methods in means.items():
        if row not in (MODALITIES_ALIKE, LABELS_ALIKE):
            axes.plot(frames, [methods[name]["jf"] for name in snapshots], linewidth=1, alpha=0.6, label=row)
    overall = [means[MODALITIES_ALIKE][name] for name in snapshots]
    axes.plot(frames, [one["jf"] for one in overall], color="black", marker="o", linewidth=2, label="J&F, all alike")
    axes.fill_between(frames, [one["low"] for one in overall], [one["high"] for one in overall], color="0.85")
    held_out = [(one.frames / MILLION, validation[one.steps]) for one in snapshots.values() if one.steps in validation]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), color="0.4", linestyle="--", label="J on held-out synthetic clips")
    axes.set_xlabel("frames learned from (million)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def measure(options: argparse.Namespace, snapshots: dict[str, Snapshot]) -> list[Measurement]:
    """Every label by every snapshot, whose name is the method's."""
    setup, device = setup_from_arguments(options), find_device(options.device)
    results = []
    for name, snapshot in snapshots.items():
        print(f"after {name}", file=sys.stderr)
        carrier = NetworkCarrier(load_network(snapshot.path), setup, device=device)
        for case in chosen_cases(options.folder, options.cases):
            labels, _ = measurable_labels(case, limit=options.labels_per_case)
            results += [measure_label(case, label, name, carrier) for label in labels]
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="folder that `imos train` wrote")
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    add_setup_arguments(parser)
    parser.add_argument("--every", type=_positive, default=1, metavar="N", help="only every N-th snapshot")
    add_choice_arguments(parser)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="default: training_curve.png in the run's folder")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        snapshots = {f"{one.steps} steps": one for one in snapshots_of(options.run, every=options.every)}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    with threads(options.threads):
        results = measure(options, snapshots)
    if not results:
        print(f"nothing to measure in {options.folder}: no case is named like --cases asks", file=sys.stderr)
        return 1
    means = summary(results)
    validation = read_series(options.run / LOG_NAME).get("validation_J", {})
    print(markdown_table(means, snapshots, validation))
    draw_curve(options.picture or options.run / "training_curve.png", means, snapshots, validation)
    return 0


if __name__ == "__main__":
    sys.exit(main())
