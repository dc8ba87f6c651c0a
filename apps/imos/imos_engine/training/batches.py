"""Batches in the order of their steps, from any dataset whose item s is the batch of step s."""

import itertools
from collections.abc import Iterator
from typing import TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

T = TypeVar("T")


def batches_from(dataset: Dataset[T], first_step: int, *, workers: int) -> DataLoader[T]:
    """Endless batches, beginning with that of `first_step`, made by worker processes (0: by this one)."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=_StepsFrom(first_step),
        num_workers=workers,
        worker_init_fn=_one_thread,
        # A forked copy of a process whose OpenMP threads have run may hang at its first parallel loop.
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=8 if workers else None,
    )


class _StepsFrom(Sampler[int]):
    """first, first + 1, ... without end."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
