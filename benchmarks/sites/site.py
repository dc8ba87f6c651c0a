"""A site as a client sees it: a server over HTTP that is given labels, asked to carry one, and asked to train."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import requests
from monailabel.client import MONAILabelClient
from numpy.typing import NDArray

from imos_engine.metrics import largest_frame, score_sequence

Volume = NDArray[Any]

TRAINING_COMMAND = "monailabel.interfaces.utils.app"  # what MONAI Label runs as the process of a training
LOOK_EVERY = 0.5  # seconds
RUNNING = ("SUBMITTED", "RUNNING")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one training cost, and what came of it."""

    seconds: float  # from the request until it ended
    processor_seconds: float  # of the training's process, on all cores
    peak_mib: float  # resident memory of that process
    version: str  # NAME/NUMBER
    published: bool
    provisional: bool


class Site:
    """A server with a folder of its own, and what a client says to it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client = MONAILabelClient(url, tmpdir=str(folder))

    def accept(self, name: str, labels: Volume, affine: Volume, names: dict[int, str]) -> None:
        """Save a label as final. Shapes: labels (I, J, K), affine (4, 4)."""
        file = self.folder / "accepted.nii.gz"
        nibabel.save(nibabel.Nifti1Image(labels.astype(np.uint8), affine), file)
        told = {"label_info": [{"name": text, "idx": value} for value, text in names.items()]}
        self.client.save_label(name, str(file), params=told)

    def carried(
        self, name: str, mask: Volume, affine: Volume, *, label: str, axis: int, adapter: str
    ) -> tuple[float, float]:
        """J&F of one label carried from its largest slice alone, and the seconds that it took.

        Shapes: mask (I, J, K), not 0 on the label.
        """
        truth = np.moveaxis(mask, axis, 0) > 0
        seed = largest_frame(truth)
        marked = np.zeros(truth.shape, dtype=np.uint8)
        marked[seed] = truth[seed]
        file = self.folder / "seed.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(marked, 0, axis), affine), file)
        asked = {
            "adapter": adapter, "label_info": [{"name": label, "id": 1}], "slice_axis": axis, "reset_state": True,
        }  # fmt: skip
        started = time.perf_counter()
        answer, _ = self.client.infer("imos", name, asked, label_in=str(file))
        seconds = time.perf_counter() - started
        found = np.moveaxis(np.asarray(nibabel.load(answer).dataobj), axis, 0) > 0
        return score_sequence(found, truth, seeds=[seed]).jf, seconds

    def train(self, **options: object) -> Trained:
        """Train, and wait for the end.

        Raises:
            RuntimeError: it failed; the message holds what the server says of it.
        """
        started = time.perf_counter()
        self.start_training(**options)
        spent, peak = 0.0, 0.0
        while self.is_training():
            for seconds, mib in training_costs():
                spent, peak = max(spent, seconds), max(peak, mib)
            time.sleep(LOOK_EVERY)
        seconds = time.perf_counter() - started
        if self.training()["status"] != "DONE":
            raise RuntimeError(f"the training failed: {self.training()['details']}")
        told = requests.get(f"{self.url}/info/", timeout=60).json()["train_stats"]["imos"]["imos"]
        return Trained(
            seconds=seconds,
            processor_seconds=spent,
            peak_mib=peak,
            version=told["adapter"],
            published=bool(told["published"]),
            provisional=bool(told["provisional"]),
        )

    def start_training(self, **options: object) -> None:
        """Ask for a training."""
        requests.post(f"{self.url}/train/imos", json=options, timeout=60).raise_for_status()

    def stop_training(self) -> float:
        """End it; returns the seconds until it had ended."""
        started = time.perf_counter()
        requests.delete(f"{self.url}/train/", timeout=60).raise_for_status()
        while self.is_training():
            time.sleep(0.1)
        return time.perf_counter() - started

    def is_training(self) -> bool:
        """Whether a training is under way, or waits to begin."""
        return self.training()["status"] in RUNNING

    def training(self) -> dict[str, Any]:
        """What the server says of the training that came last."""
        return dict(requests.get(f"{self.url}/train/", timeout=60).json())


def training_costs() -> list[tuple[float, float]]:
    """Processor seconds and resident MiB of every process below this one in which MONAI Label trains."""
    costs = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # one that has just ended has nothing more to tell
            if TRAINING_COMMAND in process.cmdline():
                times = process.cpu_times()
                costs.append((times.user + times.system, process.memory_info().rss / 2**20))
    return costs
