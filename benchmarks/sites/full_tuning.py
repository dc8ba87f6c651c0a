"""What adapters are compared with: every weight of the network trained on the same labels, in a process of its own.

The clips, the steps and the loop are the app's own; there is no gate, and the labels come straight from the benchmark.
Prints, as JSON, the seconds, the memory and the size of the result.

    python -m benchmarks.sites.full_tuning OUT.safetensors --volumes 4
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import torch

from benchmarks.sites.hard_look import SHAPE, through_focus_volume
from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.cli.inputs import DEFAULT_WEIGHTS
from imos_engine.network.checkpoint import load_network
from imos_engine.training.accepted.clip_store import store_volume
from imos_engine.training.accepted.run import ClipFactory, recipe_for
from imos_engine.training.loop import train
from imos_engine.training.recipe import Trainable

LEARNING_RATE = 4e-4  # of all weights, at the start; what pretraining begins with


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What full fine-tuning cost."""

    seconds: float
    processor_seconds: float
    peak_mib: float
    megabytes: float


def fully_tuned(
    output: Path, *, volumes: int, steps: int, shape: tuple[int, int, int] = SHAPE, weights: Path | None = None
) -> Tuned:
    """Train all weights on the first volumes of the hard look, in a new process; `steps` 0 is as many as the app takes.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    side = [str(length) for length in shape]
    command = [sys.executable, "-m", "benchmarks.sites.full_tuning", str(output), "--volumes", str(volumes)]
    command += ["--steps", str(steps), "--shape", *side, "--weights", str(weights or DEFAULT_WEIGHTS)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Tuned(**json.loads(finished.stdout.splitlines()[-1]))


def _tune(output: Path, *, volumes: int, steps: int, shape: tuple[int, int, int], weights: Path) -> None:
    network = load_network(weights)
    settings = LearningSettings(steps=steps or None)
    config = recipe_for(
        settings, volumes=volumes, continues=False, parts=frozenset(), refined=network.refiner is not None,
        device=torch.device("cpu"),
    )  # fmt: skip
    phase = replace(config.phases[0], learning_rate=(LEARNING_RATE, LEARNING_RATE / 50))
    config = replace(config, phases=(phase,), trainable=Trainable.EVERYTHING, refiner_rate=1.0)
    with tempfile.TemporaryDirectory() as temporary:
        folders = tuple(Path(temporary, str(number)) for number in range(volumes))
        for number, folder in enumerate(folders):
            image, labels = through_focus_volume(number, shape=shape)
            volume = AcceptedVolume(images=image, labels=labels, names={1: "structure"}, axis=2, axes=(2,))
            store_volume(volume, folder)
        made = train(
            config, output_dir=Path(temporary, "run"), weights=weights, source=ClipFactory(folders, (), settings.replay)
        )
        output.write_bytes(made.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--volumes", type=int, default=4)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    started = time.perf_counter()
    _tune(
        options.output, volumes=options.volumes, steps=options.steps, shape=tuple(options.shape),
        weights=options.weights,
    )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_SELF)
    tuned = Tuned(
        seconds=time.perf_counter() - started,
        processor_seconds=used.ru_utime + used.ru_stime,
        peak_mib=used.ru_maxrss / 1024,  # Linux counts it in KiB
        megabytes=options.output.stat().st_size / 1e6,
    )
    print(json.dumps(asdict(tuned)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
