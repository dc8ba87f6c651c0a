"""What each phase of training is worth: short runs with and without it, equally costly, on labelled cases.

A run without a phase gives that phase's share of the pixels to the others. Every label is carried from its true mask
on its largest slice. Training goes on where it was interrupted, and is skipped where it is over.

    python -m benchmarks.phases FOLDER --runs RUNS [--steps-share 0.5]

Each run keeps snapshots, of which `python -m benchmarks.training_curve RUNS/all-phases FOLDER` draws a curve.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.ablations import markdown_table
from benchmarks.accuracy import add_choice_arguments, chosen_cases, threads
from benchmarks.carry import NetworkCarrier, add_setup_arguments, setup_from_arguments
from benchmarks.cases import measurable_labels
from benchmarks.protocols import measure_label
from imos_engine.cli.inputs import find_device
from imos_engine.network.checkpoint import load_network
from imos_engine.training.loop import train
from imos_engine.training.recipe import Phase, TrainingConfig
from imos_engine.training.run_folder import WEIGHTS_NAME

SNAPSHOTS = 6  # of a run
STATIC, LONG, SHORT = "the static phase", "the long-sequence phase", "the short-sequence phase"
PHASES = {
    STATIC: Phase(
        steps=120, frames=2, size=96, batch=16, max_objects=2, reference_frames=1, learning_rate=(5e-4, 4e-4),
        warm_up=0.1, source={"static": True},
    ),
    LONG: Phase(steps=120, frames=8, size=96, batch=4, max_objects=2, reference_frames=2, learning_rate=(4e-4, 2e-4)),
    SHORT: Phase(
        steps=120, frames=3, size=128, batch=8, max_objects=2, reference_frames=2, learning_rate=(3e-4, 1e-6),
        hardest_pixels=(1.0, 0.5),
    ),
}  # fmt: skip


def pixels(phase: Phase) -> int:
    """Pixels that a phase in steps looks at: what it costs, nearly."""
    return (phase.steps or 0) * phase.batch * phase.frames * phase.size**2


def without(name: str | None) -> tuple[Phase, ...]:
    """All phases but one, longer by what it cost; None leaves none out."""
    kept = [phase for other, phase in PHASES.items() if other != name]
    longer = sum(map(pixels, PHASES.values())) / sum(map(pixels, kept))
    first, *others = (replace(phase, steps=round((phase.steps or 0) * longer)) for phase in kept)
    return replace(first, warm_up=PHASES[STATIC].warm_up), *others  # random weights need one, wherever they begin


def recipe(phases: Sequence[Phase], *, share: float, workers: int) -> TrainingConfig:
    """A run from random weights with a share of the phases' steps."""
    shortened = tuple(replace(phase, steps=max(1, round((phase.steps or 0) * share))) for phase in phases)
    return TrainingConfig(
        phases=shortened,
        seed=20261121,
        average_decay=0.98,
        checkpoint_every=25,
        keep_snapshots=max(1, sum(phase.steps or 0 for phase in shortened) // SNAPSHOTS),
        workers=workers,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.phases", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of labelled cases")
    parser.add_argument(
        "--runs", type=Path, required=True, help="folder for the training runs; one begun there goes on"
    )
    parser.add_argument("--steps-share", type=float, default=1.0, help="of the steps; 1 takes ten minutes a run")
    parser.add_argument("--workers", type=int, default=1, help="processes that make clips (default: 1)")
    add_setup_arguments(parser)
    add_choice_arguments(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    setup, device = setup_from_arguments(options), find_device(options.device)
    results = []
    with threads(options.threads):
        for left_out in (None, STATIC, LONG, SHORT):
            name = "all phases" if left_out is None else f"without {left_out}"
            run = options.runs / name.replace(" ", "-")
            config = recipe(without(left_out), share=options.steps_share, workers=options.workers)
            if not (run / WEIGHTS_NAME).is_file():
                print(f"training: {name}", file=sys.stderr)
                train(config, output_dir=run, device=device, resume=True)
            carrier = NetworkCarrier(load_network(run / WEIGHTS_NAME), setup, device=device)
            for case in chosen_cases(options.folder, options.cases):
                labels, _ = measurable_labels(case, limit=options.labels_per_case)
                results += [measure_label(case, label, name, carrier) for label in labels]
    if not results:
        print(f"nothing to measure in {options.folder}: no case is named like --cases asks", file=sys.stderr)
        return 1
    print(markdown_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
