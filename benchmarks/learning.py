"""A scripted site: labels accepted one volume at a time, training in between, all through HTTP.

J&F on unseen volumes of a new look against the number of accepted labels: never trained, with what the server
published, and after full fine-tuning (every weight, same clips and steps, without a gate, beside the server); seconds,
memory and size of each; how long an inference takes while a training runs, and until DELETE has ended one.
--known adds what the last version and full fine-tuning lose on looks that the network knows; --real a real case cut in
two along its slices, the first half accepted, the second unseen.

    python -m benchmarks.learning [--known ../shared/data --labels-per-case 2] [--real ../shared/data/CASE]
        [--json results.json] [--picture learning.png] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import threads
from benchmarks.sites.full_tuning import fully_tuned
from benchmarks.sites.hard_look import SHAPE, SPACING_MM, save, through_focus_volume
from benchmarks.sites.learning_engine import known_scores, unseen_scores
from benchmarks.sites.learning_real import real_case
from benchmarks.sites.learning_report import draw, print_report
from benchmarks.sites.site import Site, Volume
from imos_engine.adapters.bank import PUBLISHED, WEIGHTS, write_json
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.cli.inputs import DEFAULT_WEIGHTS
from imos_engine.network.adapter_weights import load_adapter, wearing
from imos_engine.network.checkpoint import load_network
from scripts.demo.server import running_server

LABEL = "structure"
UNSEEN_SEED = 1000  # of the first volume that is never accepted
ADAPTER = "site"
AFFINE = np.diag([*SPACING_MM, 1.0])
AXIS = 2
LATENCY_REQUESTS = 5

Results = dict[str, Any]
Keep = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much a run plays through."""

    accepted: tuple[int, ...] = (1, 2, 4)  # labels after which is trained
    unseen: int = 4  # volumes that measure
    steps: int = 0  # of each training; 0 lets the trainer choose
    shape: tuple[int, int, int] = SHAPE
    full: bool = True  # also fine-tune every weight


QUICK = Plan(accepted=(1, 2), unseen=1, steps=4, shape=(64, 64, 8))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What else is measured, and with which weights."""

    weights: Path = DEFAULT_WEIGHTS
    known: Path | None = None
    labels_per_case: int | None = None
    real: Path | None = None
    real_labels: int = 3
    folder: Path | None = None  # of the server, which is kept; None is one that is removed


def play(plan: Plan, options: Options, results: Results, keep: Keep) -> None:
    """Fill `results` and call `keep` after each thing measured."""
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory(prefix="imos_site_") as made:
        folder = Path(made).resolve()
        studies, bank = folder / "studies", folder / "adapters"
        studies.mkdir(parents=True)
        truths = _volumes(plan, studies)
        conf: dict[str, object] = {
            "adapter_bank": bank, "sessions": folder / "sessions", "labels": LABEL,
            "weights": options.weights.resolve(),
        }  # fmt: skip
        with running_server(studies, log=folder / "server.log", conf=conf) as url:
            site = Site(url, folder)
            _curve(site, plan, truths, bank, results, keep)
            results["latency"] = _latency(site, truths)
            keep()
        _beside_the_server(plan, options, truths, bank, folder, results, keep)
    if options.real is not None:
        results["real"] = real_case(options.real, most=options.real_labels, steps=plan.steps, weights=options.weights)
        keep()


def _volumes(plan: Plan, studies: Path) -> dict[str, Volume]:
    """Truth of every volume of the look, by the name of its image."""
    truths = {}
    for number in (*range(max(plan.accepted)), *range(UNSEEN_SEED, UNSEEN_SEED + plan.unseen)):
        image, truth = through_focus_volume(number, shape=plan.shape)
        save(studies / f"case_{number}.nii.gz", image)
        truths[f"case_{number}"] = truth
    return truths


def _unseen(truths: dict[str, Volume]) -> dict[str, Volume]:
    return {name: truth for name, truth in truths.items() if int(name.split("_")[1]) >= UNSEEN_SEED}


def _curve(site: Site, plan: Plan, truths: dict[str, Volume], bank: Path, results: Results, keep: Keep) -> None:
    def scores(adapter: str) -> list[float]:
        return [
            site.carried(name, truth, AFFINE, label=LABEL, axis=AXIS, adapter=adapter)[0]
            for name, truth in _unseen(truths).items()
        ]

    results["never"] = scores("none")
    results["curve"] = []
    keep()
    for number in range(max(plan.accepted)):
        site.accept(f"case_{number}", truths[f"case_{number}"], AFFINE, {1: LABEL})
        if number + 1 not in plan.accepted:
            continue
        trained = site.train(adapter=ADAPTER, steps=plan.steps)
        published = (bank / ADAPTER / PUBLISHED).is_file()
        results["curve"].append(
            {
                "labels": number + 1,
                "learned": scores(ADAPTER if published else "none"),
                "megabytes": (bank / trained.version / WEIGHTS).stat().st_size / 1e6,
                **asdict(trained),
            }
        )
        keep()


def _latency(site: Site, truths: dict[str, Volume]) -> dict[str, float]:
    """Median seconds of an inference, idle and beside a training, and until DELETE has ended that."""
    name, truth = next(iter(truths.items()))

    def median_seconds() -> float:  # the first of each kind warms up and does not count
        carried = (
            site.carried(name, truth, AFFINE, label=LABEL, axis=AXIS, adapter="none")[1]
            for _ in range(LATENCY_REQUESTS + 1)
        )
        return float(np.median(list(carried)[1:]))

    idle = median_seconds()
    site.start_training(adapter="beside", steps=100_000, replay=0.0)
    while not any("Training on" in line or "Cross-validation" in line for line in site.training().get("details", [])):
        time.sleep(0.5)
    beside = median_seconds()
    return {"idle": idle, "training": beside, "stopped": site.stop_training()}


def _beside_the_server(
    plan: Plan, options: Options, truths: dict[str, Volume], bank: Path, folder: Path, results: Results, keep: Keep
) -> None:
    """Full fine-tuning, and what it and the last version lose on known looks."""
    unseen = {name: through_focus_volume(int(name.split("_")[1]), shape=plan.shape) for name in _unseen(truths)}
    results["engine never"] = unseen_scores(load_network(options.weights), unseen)
    results["full"] = []
    tuned = folder / "full.safetensors"
    for labels in plan.accepted if plan.full else ():
        cost = fully_tuned(tuned, volumes=labels, steps=plan.steps, shape=plan.shape, weights=options.weights)
        results["full"].append(
            {"labels": labels, "learned": unseen_scores(load_network(tuned), unseen), **asdict(cost)}
        )
        keep()
    if options.known is None:
        return
    base, version = load_network(options.weights), results["curve"][-1]["version"]
    arms = {"never": base, "adapters": wearing(base, load_adapter(bank / version / WEIGHTS))}
    if plan.full:
        arms["full"] = load_network(tuned)
    results["known"] = {}
    for name, network in arms.items():
        results["known"][name] = known_scores(network, options.known, labels_per_case=options.labels_per_case)
        keep()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny volumes and four steps: shows that it runs")
    parser.add_argument("--weights", type=Path, metavar="FILE", default=DEFAULT_WEIGHTS, help="default: those bundled")
    parser.add_argument(
        "--known", type=Path, metavar="FOLDER", help="cases of known looks, as benchmarks.accuracy takes"
    )
    parser.add_argument("--labels-per-case", type=int, metavar="N", help="only the N largest labels of each of those")
    parser.add_argument("--real", type=Path, metavar="FOLDER/CASE", help="a real case to cut in two")
    parser.add_argument(
        "--real-labels", type=int, metavar="N", default=3, help="of its labels, the N largest (default 3)"
    )
    parser.add_argument("--no-full", action="store_true", help="without full fine-tuning")
    parser.add_argument("--folder", type=Path, help="a new folder in which images, labels, versions and the log stay")
    parser.add_argument("--json", type=Path, metavar="FILE", help="written after everything that is measured")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    plan = replace(QUICK if asked.quick else Plan(), full=not asked.no_full)
    options = Options(
        weights=asked.weights, known=asked.known, labels_per_case=asked.labels_per_case, real=asked.real,
        real_labels=asked.real_labels, folder=asked.folder,
    )  # fmt: skip
    results: Results = {"plan": asdict(plan), "settings": asdict(LearningSettings(steps=plan.steps or None))}

    def keep() -> None:
        if asked.json:
            write_json(asked.json, results)

    with threads(1):
        play(plan, options, results, keep)
    print_report(results)
    if asked.picture:
        draw(results, asked.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
