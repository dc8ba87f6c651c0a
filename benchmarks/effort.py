"""How many slices an annotator must correct per volume at a site that learns, by the strategy that says what is next.

A site has five volumes: three of a look that the network finds hard, two of a plain one with another label. One slice
of each is marked and carried, which is its proposal. A strategy of the app then says which volume comes next; a
simulated annotator gives the true mask of the slice that the engine suggests, again and again, until the Dice of the
volume is 0.90. After the first accepted volume (--train-after) the adapters are trained, and kept if the gate lets them
pass. `never` is the same site without training: there, the order makes no difference.

    python -m benchmarks.effort [--seeds 5] [--train-after 1,2,4] [--quick] [--json FILE] [--picture FILE]

With --json, what is finished is kept after every seed, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sites.effort_engine import BankLearn, NetworkCarry
from benchmarks.sites.effort_report import STRATEGIES, Run, Step, draw, report_lines
from benchmarks.sites.effort_site import UNTRAINED, History, Plan, Site, made_cases
from imos_engine.adapters.bank import write_json
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.cli.inputs import DEFAULT_WEIGHTS

APP = Path(__file__).resolve().parents[1] / "apps" / "imos"
QUICK = Plan(
    common=2,
    rare=1,
    held_out=(1, 1),
    shape=(48, 48, 6),
    train_after=(1,),
    most_slices=3,
    learning=LearningSettings(steps=2, frames=2, size=48, batch=1, accumulate=1),
)


class Desk:
    """A datastore as strategies ask it: images, what was proposed on them and what was accepted."""

    def __init__(self, images: Sequence[str]) -> None:
        self._images = list(images)
        self._labels: dict[str, dict[str, Any]] = {"original": {}, "final": {}}

    def open_images(self) -> list[str]:
        """Those without an accepted label."""
        return [image for image in self._images if image not in self._labels["final"]]

    def propose(self, image: str, label: str, confidence: Mapping[int, float]) -> None:
        reply = {"confidence": {label: {str(index): value for index, value in confidence.items()}}}
        self._labels["original"][image] = {"params": {"imos": reply}}

    def accept(self, image: str, label: str) -> None:
        self._labels["final"][image] = {"label_info": [{"name": label, "idx": 1}]}

    def list_images(self) -> list[str]:
        return list(self._images)

    def get_label_by_image_id(self, image: str, tag: str) -> str:
        return image if image in self._labels[tag] else ""

    def get_label_info(self, label: str, tag: str) -> dict[str, Any]:
        return self._labels[tag][label]

    def get_image_info(self, image: str) -> dict[str, Any]:
        return {}

    def get_image_uri(self, image: str) -> str:
        return f"{image}.nii.gz"  # no file: where to begin on it is not asked


def strategy_named(name: str, *, chance: random.Random) -> Any:
    """The app's own strategy; the app's folder is on the path only while it is imported."""
    sys.path.insert(0, str(APP))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI Label warns of the versions of what it uses
            from lib.activelearning.choice import Order
            from lib.activelearning.strategies import NextImage
    finally:
        sys.path.remove(str(APP))
    return NextImage(Order(name), chance=chance)


def play(site: Site, strategy: str, *, seed: int) -> Run:
    """Annotate every volume in the order that a strategy gives, training in between."""
    choose = strategy_named(strategy, chance=random.Random(f"{strategy}/{seed}"))
    desk = Desk(sorted(site.cases))
    for image, case in site.cases.items():  # kept as the app keeps them: from before any training
        desk.propose(image, case.label, site.proposal(image, UNTRAINED).confidence)
    history: History = ()
    accepted: list[str] = []
    steps = []
    while desk.open_images():
        version = site.version(history)
        name = choose({"strategy": strategy}, desk)["id"]
        label, work, never = site.cases[name].label, site.work(name, version), site.work(name, UNTRAINED)
        steps.append(
            Step(
                case=name,
                label=label,
                slices=len(work.slices),
                reached=work.dice[-1] >= site.plan.enough,
                first_dice=work.dice[0],
                never_slices=len(never.slices),
                never_first_dice=never.dice[0],
                uncertainty=1 - float(np.mean([*site.proposal(name, UNTRAINED).confidence.values()])),
            )
        )
        desk.accept(name, label)
        accepted.append(name)
        if len(accepted) in site.plan.train_after and desk.open_images():
            history = (*history, frozenset(accepted))
    return Run(seed=seed, strategy=strategy, steps=tuple(steps))


def play_seed(plan: Plan, seed: int, *, weights: Path) -> tuple[list[Run], list[dict[str, Any]]]:
    """Every strategy at one site, and what its trainings came to."""
    pool, held_out = made_cases(plan, seed)
    with tempfile.TemporaryDirectory(prefix="imos_effort_") as folder:
        learn = BankLearn(weights, plan, Path(folder), pool=pool, held_out=held_out)
        site = Site(pool, plan, carry=NetworkCarry(weights, plan.propagation), learn=learn)
        runs = []
        for strategy in STRATEGIES:
            runs.append(play(site, strategy, seed=seed))
            told = " ".join(f"{step.slices}({step.never_slices})" for step in runs[-1].steps)
            print(f"seed {seed}, {strategy}: {told}; {len(learn.told)} trainings", file=sys.stderr, flush=True)
    return runs, [{"seed": seed, **one} for one in learn.told]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="sites, each with volumes of its own (default: 5)")
    parser.add_argument("--from-seed", type=int, default=0, metavar="N", help="the first of them (default: 0)")
    parser.add_argument(
        "--train-after", type=_numbers, metavar="N,N", help="accepted volumes after which is trained (default: 1)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny volumes and two steps: shows that it runs")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, metavar="FILE", help="default: those bundled")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    plan = QUICK if options.quick else Plan()
    if options.train_after:
        plan = replace(plan, train_after=options.train_after)
    runs, trainings = read_runs(options.json)
    for seed in range(options.from_seed, options.from_seed + options.seeds):
        if seed in {run.seed for run in runs}:
            continue
        found, told = play_seed(plan, seed, weights=options.weights)
        runs, trainings = [*runs, *found], [*trainings, *told]
        if options.json:
            kept = {"runs": [asdict(run) for run in runs], "trainings": trainings}
            write_json(options.json, kept)
    print("\n".join(report_lines(runs, trainings)))
    if options.picture:
        draw(runs, options.picture)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def read_runs(file: Path | None) -> tuple[list[Run], list[dict[str, Any]]]:
    """What an earlier call has finished; nothing without a file."""
    if file is None or not file.is_file():
        return [], []
    kept = json.loads(file.read_text())
    runs = [Run(**{**run, "steps": tuple(Step(**step) for step in run["steps"])}) for run in kept["runs"]]
    return runs, kept["trainings"]


if __name__ == "__main__":
    sys.exit(main())
