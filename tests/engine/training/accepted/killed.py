"""A process in which trainings run one after another, each in a fork of it that may kill itself at a given moment.

Importing takes seconds, so that all forks share it. Each line on the standard input is a JSON object, the answer to it
is a line with the exit status of the fork.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from pathlib import Path

import torch

from imos_engine.adapters import AdapterBank
from imos_engine.adapters.bank import PUBLISHED
from imos_engine.adapters.gate import GateRules
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.config import Precision, PropagationConfig
from imos_engine.training import loop, run_folder
from imos_engine.training.accepted import learning
from imos_engine.training.run_state import CHECKPOINT_NAME
from tests.engine.adapters.made import BASE
from tests.engine.narrow import narrow_network
from tests.engine.training.accepted.made import ball_volume

PHASES = ("training", "checkpoint", "storing", "publishing")
CHANGES = ("open", "os.rename", "os.mkdir", "os.remove", "shutil.rmtree")  # events that Python tells of files
PROPAGATION = PropagationConfig(size=32, precision=Precision.FLOAT32)
COUNTS = "counts.json"  # beside the bank: how often something happened in each phase of the last whole training


class Moment:
    """Counts steps and changes of files by phase, and kills this process at one of them, or a little later."""

    def __init__(self, folder: Path, at: tuple[str, int, float] | None) -> None:
        """`at` is a phase, a count from 1, and seconds to wait from there; None never kills."""
        self.folder, self.at, self.counts = str(folder), at, Counter()

    def happens(self, phase: str) -> None:
        self.counts[phase] += 1
        if self.at is not None and (phase, self.counts[phase]) == tuple(self.at[:2]):
            if self.at[2]:
                threading.Timer(self.at[2], os.kill, (os.getpid(), signal.SIGKILL)).start()
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple) -> None:
        if event in CHANGES and str(arguments[0]).startswith(self.folder):
            reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if not reads:
                self.happens(phase_of(str(arguments[0])))


def phase_of(path: str) -> str:
    if PUBLISHED in path:
        return "publishing"
    if "/.new." in path:
        return "storing"
    return "checkpoint" if CHECKPOINT_NAME in path else "training"


def train(folder: Path, at: tuple[str, int, float] | None) -> None:
    moment = Moment(folder, at)
    sys.addaudithook(moment.audit)
    learning.Learning(
        base=narrow_network(),
        bank=AdapterBank(folder, base_sha256=BASE),
        name="site",
        volumes=[ball_volume(seed, shape=(32, 32, 6)) for seed in range(5)],
        settings=LearningSettings(steps=2, frames=2, size=32, batch=1, accumulate=1, replay=0.0),
        rules=GateRules(overall=2, per_label=2, known_looks=2),
        propagation=PROPAGATION,
        should_stop=lambda: bool(moment.happens("training")),
    ).run()
    if at is None:
        (folder.parent / COUNTS).write_text(json.dumps(moment.counts))
    elif moment.counts[at[0]] >= at[1]:
        signal.pause()  # until the moment comes


def in_a_fork(folder: Path, at: tuple[str, int, float] | None) -> int:
    """The exit status of a process that trains, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(folder, at)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write_in_two_goes(path: Path, text: str, **options: str) -> int:
    """Half of the text, then all of it: who is killed where the file is opened again leaves it half-written."""
    with path.open("w", **options) as file:
        file.write(text[: len(text) // 2])
    with path.open("w", **options) as file:
        return file.write(text)


def main() -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    importlib.import_module("torch._inductor")  # a training imports it late: once for all forks
    # What takes longest and leaves nothing that a kill could break: random sequences, looks at held-out clips.
    learning.Learning._known_looks = lambda self, weights: None
    loop.make_validation_clips = lambda config, source: []
    run_folder.RunFolder.validate = lambda self: None
    Path.write_text = write_in_two_goes
    for line in sys.stdin:
        sys.stdout.write(f"{in_a_fork(Path(sys.argv[1]), json.loads(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
