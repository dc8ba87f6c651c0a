"""From both passes' probabilities to one label map per frame."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from imos_engine.propagation.confidence import Evidence, agreement, change_of, entropy, inside
from imos_engine.propagation.resizing import Box, FrameGrid
from imos_engine.propagation.sweep import SweepStep


@dataclass(frozen=True, eq=False)
class PassAnswer:
    """What one pass found on one frame, for the K objects of one window."""

    grid: FrameGrid
    probabilities: Tensor  # (K, h, w) on the grid, 0 to 1; zeros for an object that is hidden
    presence: Tensor  # (K,), 0 to 1
    change: Tensor  # (K,), at least 0, see `confidence.change_of`; 0 on a pass's first frame
    areas: Tensor  # (K,), in frame pixels

    @staticmethod
    def of(step: SweepStep, *, presence_threshold: float, before: PassAnswer | None) -> PassAnswer:
        """The answer of a step, without the objects that are probably absent; `before` is the pass's previous one."""
        present = step.presence >= presence_threshold
        shown = step.probabilities[1:] * present[:, None, None]
        (height, width), box = step.grid.inner_size, step.grid.box
        areas = (shown > 0.5).flatten(1).sum(1) * (box.height * box.width / (height * width))
        change = torch.zeros_like(areas) if before is None else change_of(areas, before.areas)
        return PassAnswer(step.grid, shown, step.presence, change, areas)


@dataclass(frozen=True, eq=False)
class HeldAnswer:
    """One pass's answer, held until the other pass arrives: 8 bits each, compressed, since most of them are 0 or 1."""

    answer: PassAnswer  # without probabilities
    packed: bytes
    shape: tuple[int, ...]

    @staticmethod
    def pack(answer: PassAnswer) -> HeldAnswer:
        """Keep an answer in little memory."""
        quantised = (answer.probabilities * 255).round().to(torch.uint8).cpu().numpy()
        light = replace(answer, probabilities=answer.probabilities.new_zeros(0))
        return HeldAnswer(light, zlib.compress(quantised.tobytes(), level=1), quantised.shape)

    def unpack(self) -> PassAnswer:
        """The answer again, its probabilities in float32, exact to 1/510."""
        flat = np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8)
        probabilities = torch.from_numpy(flat.reshape(self.shape).astype(np.float32) / 255)
        return replace(self.answer, probabilities=probabilities.to(self.answer.presence.device))


@dataclass(frozen=True, kw_only=True, eq=False)
class Merged:
    """What all passes together say about the K objects of one window, on one frame."""

    box: Box
    probabilities: Tensor  # (K, box.height, box.width)
    presence: Tensor  # (K,), 0 to 1
    agreement: Sequence[float | None]  # per object; None where one pass alone counts
    change: Tensor  # (K,)

    @staticmethod
    def of(answers: Mapping[int, PassAnswer], weights: Tensor) -> Merged:
        """Shapes: answers {direction sign: answer}; weights (K,), the forward pass's share."""
        box, planes = on_one_box({sign: (answer.grid, answer.probabilities) for sign, answer in answers.items()})
        shared = ((weights > 0) & (weights < 1)).tolist() if len(planes) == 2 else [False] * len(weights)
        agreements = agreement(planes[1], planes[-1]).tolist() if any(shared) else [1.0] * len(weights)
        return Merged(
            box=box,
            probabilities=blend(planes, weights),
            presence=blend_numbers({sign: answer.presence for sign, answer in answers.items()}, weights),
            agreement=[one if both else None for one, both in zip(agreements, shared, strict=True)],
            change=blend_numbers({sign: answer.change for sign, answer in answers.items()}, weights),
        )

    def evidence(self, channel: int, labelled: npt.NDArray[np.bool_], *, distance: int) -> Evidence:
        """What speaks for one object's mask. Shapes: labelled (box.height, box.width), the pixels that it got."""
        probabilities = self.probabilities[channel]
        return Evidence(
            empty=not labelled.any(),
            inside=inside(probabilities, torch.from_numpy(labelled).to(probabilities.device)),
            entropy=entropy(probabilities),
            peak=float(probabilities.amax()),
            presence=float(self.presence[channel]),
            agreement=self.agreement[channel],
            distance=distance,
            change=float(self.change[channel]),
        )


def blend_numbers(passes: Mapping[int, Tensor], weights: Tensor) -> Tensor:
    """`blend` for one number per object. Shapes: passes {direction sign: (K,)}; weights (K,). Returns: (K,)."""
    return blend({sign: values[:, None, None] for sign, values in passes.items()}, weights)[:, 0, 0]


def blend(passes: Mapping[int, Tensor], weights: Tensor) -> Tensor:
    """Weighted mean of the passes, object by object.

    Shapes: passes {direction sign: (K, H, W)}; weights (K,), the forward pass's share. An object that only one pass
    reached counts in full there. Returns: (K, H, W).
    """
    if 1 not in passes or -1 not in passes:
        sign, only = next(iter(passes.items()))
        reached = weights > 0 if sign == 1 else weights < 1
        return only * reached[:, None, None]
    share = weights[:, None, None]
    return passes[1] * share + passes[-1] * (1 - share)


class LabelCanvas:
    """One frame's label map, filled object by object: each pixel goes to the surest object, or to the background."""

    def __init__(self, frame_size: tuple[int, int], dtype: np.dtype[Any], device: torch.device) -> None:
        self._dtype = dtype
        self._taken = torch.zeros(frame_size, device=device)
        self._best = torch.zeros(frame_size, device=device)
        self._winner = torch.zeros(frame_size, dtype=torch.int32, device=device)

    def add(self, box: Box, probabilities: Tensor, object_ids: Sequence[int]) -> None:
        """Shapes: probabilities (K, box.height, box.width), 0 to 1."""
        where = box.slices
        best = probabilities.max(0)  # ten times faster across the first dimension than argmax (CPU, torch 2.14)
        ids = torch.tensor([int(one) for one in object_ids], dtype=torch.int32, device=probabilities.device)
        wins = best.values > self._best[where]
        self._winner[where] = torch.where(wins, ids[best.indices], self._winner[where])
        self._best[where] = torch.where(wins, best.values, self._best[where])
        self._taken[where] += probabilities.sum(0)

    def labels(self) -> npt.NDArray[np.integer[Any]]:
        """(H, W), 0 where the background is surer than every object."""
        background = (1 - self._taken).clamp(min=0)
        found = torch.where(self._best > background, self._winner, torch.zeros_like(self._winner))
        return found.cpu().numpy().astype(self._dtype)


def on_one_box(planes: Mapping[int, tuple[FrameGrid, Tensor]]) -> tuple[Box, dict[int, Tensor]]:
    """What passes found in their windows, in the frame's own pixels, on the box that holds all windows.

    Shapes: planes {direction sign: (grid, (K, *grid.padded_size))}. Returns: the box, {sign: (K, height, width)}.
    """
    boxes = [grid.box for grid, _ in planes.values()]
    box = boxes[0]
    for other in boxes[1:]:
        box = box.joined(other)
    restored = {}
    for sign, (grid, found) in planes.items():
        own = grid.restore(found)
        if grid.box != box:
            top, left = grid.box.top - box.top, grid.box.left - box.left
            right, bottom = box.width - left - grid.box.width, box.height - top - grid.box.height
            own = F.pad(own, (left, right, top, bottom))
        restored[sign] = own
    return box, restored
