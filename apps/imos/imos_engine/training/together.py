"""Several devices of this machine train one network: a process for each, started, asked and ended by this one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

import torch
import torch.multiprocessing
from torch.multiprocessing.spawn import ProcessContext, ProcessException, start_processes

from imos_engine.training.clips import SourceFactory
from imos_engine.training.loop import train
from imos_engine.training.processes import joined
from imos_engine.training.recipe import TrainingConfig
from imos_engine.training.run_folder import WEIGHTS_NAME

LOOK_EVERY = 1.0  # seconds; what happens is noticed at once


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every process trains; it pickles."""

    config: TrainingConfig
    output_dir: Path
    weights: Path  # of the start
    source: SourceFactory
    device: torch.device  # cpu, or cuda for one GPU each
    count: int  # processes
    port: int  # at which they meet


class Asked(Protocol):
    """Where the first process asks after each step whether to stop."""

    def send(self, question: None, /) -> None:
        """Ask."""

    def recv(self) -> bool:
        """The answer."""


def train_together(
    config: TrainingConfig,
    *,
    count: int,
    device: torch.device,
    output_dir: Path,
    weights: Path,
    source: SourceFactory,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train as `train` does, in `count` processes that follow clips of their own and take the same steps.

    Args:
        config: the recipe; a step sees `count` times its clips.
        count: processes; on GPUs, one each.
        device: cpu or cuda.
        output_dir: the run's folder.
        weights: of the start.
        source: makes the clips; must pickle.
        should_stop: asked in this process, after every step.

    Returns: the path of the averaged weights.

    Raises:
        RuntimeError: a process failed; the message is what it said, and the others are ended.
    """
    ours, theirs = torch.multiprocessing.get_context("spawn").Pipe()
    job = Job(
        config=config,
        output_dir=output_dir,
        weights=weights,
        source=source,
        device=device,
        count=count,
        port=_free_port(),
    )
    started: ProcessContext = start_processes(run, args=(job, theirs), nprocs=count, join=False, start_method="spawn")
    try:
        _answer_until_done(started, ours, should_stop)
    except ProcessException as error:
        raise RuntimeError(f"a process of the training failed: {error}") from error
    finally:
        for process in started.processes:
            if process.is_alive():
                process.kill()
        ours.close()
        theirs.close()
    return output_dir / WEIGHTS_NAME


def run(rank: int, job: Job, asked: Asked) -> None:
    """What the process of this rank does."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job.count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(job.port)}
    if job.device.type == "cpu":
        torch.set_num_threads(max(torch.get_num_threads() // job.count, 1))

    def should_stop() -> bool:
        # The answer may take as long as a request is served: the others wait, too, for they agree after each step.
        asked.send(None)
        return asked.recv()

    with joined(job.device) as (processes, device):
        train(
            job.config,
            output_dir=job.output_dir,
            device=device,
            weights=job.weights,
            source=job.source,
            should_stop=should_stop if processes.is_first else lambda: False,
            processes=processes,
        )


def _answer_until_done(started: ProcessContext, ours: Connection, should_stop: Callable[[], bool]) -> None:
    while True:
        wait([ours, *started.sentinels], timeout=LOOK_EVERY)
        if ours.poll():
            ours.recv()
            ours.send(should_stop())
        elif started.join(timeout=0):
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
