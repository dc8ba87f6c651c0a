"""A scripted site: labels accepted one volume at a time, training in between, all through HTTP.

Prints J&F on unseen volumes against the number of accepted labels, with the published adapter and without any; seconds
of training, size of an adapter, and how long an inference takes while a training runs.

    python -m benchmarks.learning [--quick] [--weights FILE] [--json results.json] [--picture learning.png]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import requests
from matplotlib.figure import Figure
from monailabel.client import MONAILabelClient

from benchmarks.hard_look import SHAPE, save, through_focus_volume
from imos_engine.metrics import largest_frame, score_sequence
from scripts.demo.server import running_server

LABEL = "structure"
UNSEEN_SEED = 1000  # of the first volume that is never accepted
ADAPTER = "site"
LATENCY_REQUESTS = 5


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much a run plays through."""

    accepted: tuple[int, ...] = (1, 2, 4)  # labels after which is trained
    unseen: int = 4  # volumes that measure
    steps: int = 0  # of each training; 0 lets the trainer choose
    shape: tuple[int, int, int] = SHAPE


QUICK = Plan(accepted=(1, 2), unseen=1, steps=4, shape=(64, 64, 8))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One moment of the site's life."""

    labels: int  # accepted so far
    never: float  # J&F on unseen volumes without adapters
    learned: float  # J&F with what is published
    seconds: float  # of the training
    megabytes: float  # of the version's weights
    published: bool
    provisional: bool


class Site:
    """A server with a folder of its own, and what a client says to it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client = MONAILabelClient(url, tmpdir=str(folder))

    def accept(self, name: str, labels: np.ndarray[Any, Any]) -> None:
        save(self.folder / "accepted.nii.gz", labels)
        told = {"label_info": [{"name": LABEL, "idx": 1}]}
        self.client.save_label(name, str(self.folder / "accepted.nii.gz"), params=told)

    def carried(self, name: str, truth: np.ndarray[Any, Any], *, adapter: str) -> tuple[float, float]:
        """J&F of one seed slice carried through, and the seconds that it took."""
        frames = np.moveaxis(truth, 2, 0) > 0
        seed = largest_frame(frames)
        marked = np.zeros_like(truth)
        marked[..., seed] = truth[..., seed]
        save(self.folder / "seed.nii.gz", marked)
        asked = {"adapter": adapter, "label_info": [{"name": LABEL, "id": 1}], "slice_axis": 2, "reset_state": True}
        started = time.perf_counter()
        file, _ = self.client.infer("imos", name, asked, label_in=str(self.folder / "seed.nii.gz"))
        seconds = time.perf_counter() - started
        found = np.moveaxis(np.asarray(nibabel.load(file).dataobj), 2, 0) > 0
        return score_sequence(found, frames, seeds=[seed]).jf, seconds

    def start_training(self, **options: object) -> None:
        requests.post(f"{self.url}/train/imos", json=options, timeout=60).raise_for_status()

    def is_training(self) -> bool:
        return self.training()["status"] in ("SUBMITTED", "RUNNING")

    def training(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/train/", timeout=60).json())

    def newest(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/info/", timeout=60).json()["train_stats"]["imos"])


def play(plan: Plan, *, weights: Path | None = None) -> tuple[list[Measured], dict[str, float]]:
    """The curve, and seconds of an inference idle and beside a training."""
    with tempfile.TemporaryDirectory(prefix="imos_site_") as temporary:
        folder = Path(temporary)
        studies, bank = folder / "studies", folder / "adapters"
        studies.mkdir()
        truths = {}
        for number in (*range(max(plan.accepted)), *range(UNSEEN_SEED, UNSEEN_SEED + plan.unseen)):
            image, truth = through_focus_volume(number, shape=plan.shape)
            save(studies / f"case_{number}.nii.gz", image)
            truths[f"case_{number}"] = truth
        conf: dict[str, object] = {"adapter_bank": bank, "sessions": folder / "sessions", "labels": LABEL}
        if weights is not None:
            conf["weights"] = weights.resolve()
        with running_server(studies, log=folder / "server.log", conf=conf) as url:
            site = Site(url, folder)
            curve = list(_curve(site, plan, truths, bank))
            return curve, _latency(site, truths)


def _curve(site: Site, plan: Plan, truths: dict[str, np.ndarray[Any, Any]], bank: Path) -> Iterator[Measured]:
    unseen = {name: truth for name, truth in truths.items() if int(name.split("_")[1]) >= UNSEEN_SEED}
    never = float(np.mean([site.carried(name, truth, adapter="none")[0] for name, truth in unseen.items()]))
    for number in range(max(plan.accepted)):
        site.accept(f"case_{number}", truths[f"case_{number}"])
        if number + 1 not in plan.accepted:
            continue
        started = time.perf_counter()
        site.start_training(adapter=ADAPTER, steps=plan.steps)
        while site.is_training():
            time.sleep(0.5)
        seconds = time.perf_counter() - started
        told = site.newest()
        if site.training()["status"] != "DONE":
            raise RuntimeError(f"the training failed: {site.training()['details']}")
        published = (bank / ADAPTER / "published.json").is_file()
        adapter = ADAPTER if published else "none"
        learned = [site.carried(name, truth, adapter=adapter)[0] for name, truth in unseen.items()]
        version = bank / told["imos"]["adapter"] / "adapter.safetensors"
        yield Measured(
            labels=number + 1,
            never=never,
            learned=float(np.mean(learned)),
            seconds=seconds,
            megabytes=version.stat().st_size / 1e6,
            published=bool(told["imos"]["published"]),
            provisional=bool(told["imos"]["provisional"]),
        )


def _latency(site: Site, truths: dict[str, np.ndarray[Any, Any]]) -> dict[str, float]:
    """Median seconds of an inference; the first of each kind warms up and does not count."""
    name, truth = next(iter(truths.items()))
    idle = [site.carried(name, truth, adapter="none")[1] for _ in range(LATENCY_REQUESTS + 1)][1:]
    site.start_training(adapter="beside", steps=100_000, replay=0.0)
    while not any("Training on" in line or "Cross-validation" in line for line in site.training().get("details", [])):
        time.sleep(0.5)
    beside = [site.carried(name, truth, adapter="none")[1] for _ in range(LATENCY_REQUESTS + 1)][1:]
    started = time.perf_counter()
    requests.delete(f"{site.url}/train/", timeout=60).raise_for_status()
    while site.is_training():
        time.sleep(0.1)
    stopped = time.perf_counter() - started
    return {"idle": float(np.median(idle)), "training": float(np.median(beside)), "stopped": stopped}


def draw(curve: Sequence[Measured], picture: Path) -> None:
    """J&F against accepted labels."""
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    labels = [0, *(one.labels for one in curve)]
    axes.plot(labels, [curve[0].never, *(one.learned for one in curve)], marker="o", label="published adapter")
    axes.axhline(curve[0].never, color="0.5", linestyle="--", label="never trained")
    axes.set(xlabel="accepted volumes", ylabel="J&F on unseen volumes")
    axes.legend()
    figure.savefig(picture, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny volumes and four steps: shows that it runs")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="another network than the bundled one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    curve, latency = play(QUICK if options.quick else Plan(), weights=options.weights)
    print(f"{'labels':>6}{'never':>8}{'learned':>9}{'gain':>8}{'train s':>9}{'MB':>6}  published")
    for one in curve:
        mark = ("yes" if one.published else "no") + (", provisional" if one.provisional else "")
        scores = f"{one.never:>8.3f}{one.learned:>9.3f}{one.learned - one.never:>+8.3f}"
        print(f"{one.labels:>6}{scores}{one.seconds:>9.0f}{one.megabytes:>6.1f}  {mark}")
    ratio = latency["training"] / latency["idle"]
    print(f"inference: {latency['idle']:.2f} s idle, {latency['training']:.2f} s beside a training ({ratio:.2f} times)")
    print(f"DELETE /train/: ended after {latency['stopped']:.1f} s")
    if options.json:
        options.json.write_text(
            json.dumps({"curve": [asdict(one) for one in curve], "latency": latency}, indent=1) + "\n"
        )
    if options.picture:
        draw(curve, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
