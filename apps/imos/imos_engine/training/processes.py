"""Several processes that train one network: each follows clips of its own, and all take the same step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imos_engine.network import ImosNetwork
from imos_engine.training.clips import Batch, ClipBatches, ClipSource
from imos_engine.training.recipe import Phase

PATIENCE = timedelta(hours=1)  # for which the others wait while the first one validates and writes

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that train together. Every process must call the same methods in the same order."""

    rank: int = 0  # this process
    count: int = 1  # how many there are

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def from_first(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def total(self, *values: float) -> list[float]:
        """Each value summed over the processes."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return [float(value) for value in sums]

    def agree(self, minutes: float, stop: bool) -> tuple[float, bool]:
        """The first process's clock, and whether any process was asked to stop: all end at the same step."""
        if self.count == 1:
            return minutes, stop
        both = torch.tensor([minutes if self.is_first else 0.0, float(stop)], dtype=torch.float64)
        dist.all_reduce(both, op=dist.ReduceOp.MAX)
        return float(both[0]), bool(both[1])

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes; one that a process lacks counts as zero."""
        if self.count == 1:
            return
        pieces = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        has_one = torch.tensor([float(one.grad is not None) for one in parameters], device=pieces[0].device)
        means = self._mean([*pieces, has_one])
        for parameter, mean, share in zip(parameters, means, means[-1].tolist(), strict=False):
            # In the parameter's own memory format; without any gradient, the optimizer leaves it alone.
            parameter.grad = torch.empty_like(parameter).copy_(mean) if share else None

    def average_statistics(self, network: nn.Module) -> None:
        """Replace running statistics by their mean, where each process normalised by its own clips."""
        norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.training]
        apart = [one for one in norms if not isinstance(one, nn.SyncBatchNorm)]
        buffers = [buffer for one in apart for buffer in (one.running_mean, one.running_var) if buffer is not None]
        if self.count == 1 or not buffers:
            return
        for buffer, mean in zip(buffers, self._mean(buffers), strict=True):
            buffer.copy_(mean)

    @torch.no_grad()
    def _mean(self, pieces: Sequence[Tensor]) -> list[Tensor]:
        """Every tensor's mean over the processes, in one message."""
        flat = torch.cat([piece.reshape(-1) for piece in pieces])
        dist.all_reduce(flat)
        means = (flat / self.count).split([piece.numel() for piece in pieces])
        return [mean.view_as(piece) for mean, piece in zip(means, pieces, strict=True)]


ALONE = Processes()


class OwnBatches(ClipBatches):
    """This process's share of the batches of one phase: together the processes take each batch once."""

    def __init__(self, source: ClipSource, phase: Phase, processes: Processes, *, phase_index: int, seed: int) -> None:
        super().__init__(source, phase, phase_index=phase_index, seed=seed)
        self.processes = processes

    def __getitem__(self, step: int) -> Batch:
        """This process's batch of this step, counted from 0 within the phase."""
        return super().__getitem__(step * self.processes.count + self.processes.rank)


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Meet the other processes that `torchrun` started, if it did: who we are, and the device of this process.

    Messages between GPUs go through NCCL, all others through gloo.

    Raises:
        ValueError: there are more processes on this machine than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE, device
        return
    backend = "cpu:gloo"
    if device.type == "cuda":
        device = _own_gpu(int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(rank=dist.get_rank(), count=dist.get_world_size()), device
    finally:
        dist.destroy_process_group()


def synchronised(network: ImosNetwork, device: torch.device) -> ImosNetwork:
    """The network with batch norms that, on GPUs, take their statistics over the clips of all processes."""
    return nn.SyncBatchNorm.convert_sync_batchnorm(network) if device.type == "cuda" else network


def _own_gpu(local_rank: int) -> torch.device:
    if local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"process {local_rank} of this machine finds {torch.cuda.device_count()} GPUs; give torchrun "
            "--nproc-per-node of at most that many, or train with --device cpu"
        )
    return torch.device("cuda", local_rank)
