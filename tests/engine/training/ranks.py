"""What each of several processes does in the tests of training together; a module, so that they can import it."""

import os
from pathlib import Path

import torch

from imos_engine.config import Precision
from imos_engine.training import Phase, TrainingConfig, ValidationConfig, loop
from imos_engine.training.processes import ALONE, Processes, joined

from .conftest import MovingSquares

STEPS = 4


def recipe(*, batch, **options):
    """One object per clip, so that every process's loss weighs the same, and statistics that do not move."""
    settings = {
        "freeze_batch_norm": True,
        "precision": Precision.FLOAT32,
        "validation": ValidationConfig(every=1000, clips=1, frames=2, size=32),
        "workers": 0,
        "log_every": 1,
    }
    phase = Phase(steps=STEPS, frames=3, size=32, batch=batch, accumulate=2, max_objects=1)
    return TrainingConfig(phases=(phase,), **(settings | options))


def train(config, folder: Path, weights: Path, processes: Processes = ALONE, *, stop_at: int | None = None) -> None:
    """Train without a disturbed flow, whose random numbers differ between processes; `stop_at` this step if given."""
    asked = []
    loop.Disturbance = lambda choose: lambda flow: flow
    loop.train(
        config,
        output_dir=folder,
        weights=weights,
        source=MovingSquares,
        processes=processes,
        should_stop=lambda: asked.append(1) or len(asked) == stop_at,
    )


def everything(rank: int, count: int, port: int, folder: Path, weights: Path) -> None:
    """All that the tests look at, in one start of the processes; every process has a folder of its own."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    own = folder / str(rank)
    with joined(torch.device("cpu")) as (processes, _):
        train(recipe(batch=1), own / "whole", weights, processes)
        # Only the last process is asked to stop, and only the first has the checkpoint to go on from.
        train(recipe(batch=1), own / "parts", weights, processes, stop_at=2 if rank == count - 1 else None)
        torch.save(dict(primitives(processes)), folder / f"primitives_{rank}.pt")
        if processes.is_first:
            stopped = torch.load(own / "parts" / "checkpoint.pt", weights_only=True)
            torch.save(stopped["position"]["total_steps"], folder / "stopped_at.pt")
        train(recipe(batch=1), own / "parts", weights, processes)
        moving = recipe(batch=1, freeze_batch_norm=False)
        train(moving, own / "moving", weights, processes)


def primitives(processes: Processes):
    """Gradients and statistics of one process after they were averaged: rank 0 has a gradient of 1, rank 1 none."""
    lonely, shared, frozen = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    shared.grad = torch.full((2,), float(processes.rank))
    if processes.is_first:
        lonely.grad = torch.ones(2)
    processes.average_gradients([lonely, shared, frozen])
    yield from {"lonely": lonely.grad, "shared": shared.grad, "frozen": frozen.grad}.items()
    norm = torch.nn.BatchNorm2d(1)
    norm.running_mean.fill_(processes.rank)
    processes.average_statistics(norm)
    yield "mean", norm.running_mean.clone()
    norm.eval().running_mean.fill_(processes.rank)
    processes.average_statistics(norm)
    yield "frozen mean", norm.running_mean
