"""Training examples: a window of a random slice, marks in it, and the mask that they mean.

Batch s depends on the seed and s alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from imos_engine.prompts.view import View, view_channels
from imos_engine.prompts.window import Window
from imos_engine.synthesis import SequenceGenerator, SynthesisConfig

from . import damage, marks

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]
Generator = np.random.Generator

CLIPS_PER_STEP = 10**6  # clip indices reserved for one step
LEAST_PIXELS = 12  # of the object in a view; fewer show nothing
DRAWS = 6  # windows tried for one object
SEVERAL_SHARE, MOST_PIECES = 0.35, 3  # how often an object is in several pieces, and in how many at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Examples of one step."""

    views: Tensor  # (B, CHANNELS, S, S) float32
    masks: Tensor  # (B, 1, S, S) float32, 0 or 1
    counted: Tensor  # (B, 1, S, S) float32, 1 where the loss looks: inside the slice and the box


class PromptExamples(Dataset[Batch]):
    """Endless batches of examples from random sequences."""

    def __init__(
        self,
        *,
        slice_size: int,
        view: int,
        batch: int,
        per_clip: int,
        seed: int,
        shares: tuple[float, ...] = SynthesisConfig.shares,
    ) -> None:
        self._clips = SequenceGenerator(SynthesisConfig(frames=2, size=slice_size, shares=shares), seed)
        self._view, self._batch, self._per_clip, self._seed = view, batch, per_clip, seed

    def __getitem__(self, step: int) -> Batch:
        """The batch of this step, 0 or higher."""
        examples: list[tuple[Pixels, Mask, Mask]] = []
        clip = step * CLIPS_PER_STEP
        while len(examples) < self._batch:
            random = np.random.default_rng([self._seed, clip])
            examples += list(self._examples_of(clip, random))[: self._batch - len(examples)]
            clip += 1
        views, masks, counted = (np.stack(part) for part in zip(*examples, strict=True))
        return Batch(
            views=torch.from_numpy(views),
            masks=torch.from_numpy(masks[:, None].astype(np.float32)),
            counted=torch.from_numpy(counted[:, None].astype(np.float32)),
        )

    def _examples_of(self, index: int, random: Generator) -> Iterator[tuple[Pixels, Mask, Mask]]:
        made = self._clips.clip(index)
        for _ in range(self._per_clip):
            frame = int(random.integers(len(made.labels)))
            labels = made.labels[frame]
            image = np.ascontiguousarray(made.frames[frame].transpose(1, 2, 0))
            if random.random() < 0.25:
                image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
            present = np.flatnonzero(np.bincount(labels.ravel())[1:] >= LEAST_PIXELS) + 1
            if not present.size:
                continue
            example = random_example(image, random_object(labels, present, random), self._view, random)
            if example is not None:
                yield example


def random_example(image: Pixels, mask: Mask, size: int, random: Generator) -> tuple[Pixels, Mask, Mask] | None:
    """Network input (CHANNELS, S, S), truth (S, S) and where it counts (S, S); None where no window shows enough.

    Shapes: image (H, W, 3), mask (H, W).
    """
    refines = random.random() < 0.45
    for _ in range(DRAWS):
        window = random_window(mask, random, tight=refines)
        truth = window.share(mask, size) >= 0.5
        if LEAST_PIXELS <= np.count_nonzero(truth) < 0.97 * truth.size:
            break
    else:
        return None
    within = window.within(mask.shape, size)
    pieces = pieces_of(truth & within)
    if not pieces:
        return None
    truth = np.any(pieces, axis=0)
    view = _marked(window.image(image, size), pieces, within, random, refines=refines)
    return _turned(view_channels(view), truth, view.allowed, random)


def random_window(mask: Mask, random: Generator, *, tight: bool) -> Window:
    """A window on a masked object: a little larger than it, or of any size from a part of it to the whole slice."""
    places = np.argwhere(mask)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    extent = float((high - low).max())
    if tight:
        side = extent * random.uniform(1.05, 2.2)
        middle = (low + high) / 2 + random.normal(0, 0.1, 2) * side
        return Window.around(float(middle[0]), float(middle[1]), side)
    largest = max(1.3 * max(mask.shape), 2 * extent)
    side = float(np.exp(random.uniform(np.log(0.9 * extent), np.log(min(8 * extent, largest)))))
    middle = places[random.integers(len(places))] if random.random() < 0.5 else (low + high) / 2
    middle = middle + random.normal(0, 0.08, 2) * side
    return Window.around(float(middle[0]), float(middle[1]), side)


def random_object(labels: NDArray[np.integer[Any]], present: NDArray[np.intp], random: Generator) -> Mask:
    """A piece of a labelled object or, sometimes, several: of the same object, or of any, as if it were one.

    So an object in several pieces is known, and what lies between two marked pieces need not belong to them.
    Shapes: labels (H, W); present holds the labels to choose from.
    """
    mask = one_piece(labels == random.choice(present), random)
    if random.random() >= SEVERAL_SHARE:
        return mask
    for _ in range(random.integers(1, MOST_PIECES)):
        other = one_piece(labels == random.choice(present), random)
        apart = not (cv2.dilate(other.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)[mask].any()
        if apart and np.count_nonzero(other) >= LEAST_PIXELS:
            mask = mask | other
    return mask


def pieces_of(mask: Mask) -> list[Mask]:
    """The connected pieces of a mask (S, S) that are large enough to be noticed, each (S, S)."""
    count, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return [pieces == one for one in range(1, count) if statistics[one, cv2.CC_STAT_AREA] >= LEAST_PIXELS]


def one_piece(mask: Mask, random: Generator) -> Mask:
    """One connected piece of a mask, large ones more often."""
    _, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = statistics[1:, cv2.CC_STAT_AREA].astype(float)
    piece: Mask = pieces == 1 + random.choice(len(areas), p=areas / areas.sum())
    return piece


def _marked(image: Pixels, pieces: list[Mask], within: Mask, random: Generator, *, refines: bool) -> View:
    """The window with marks of a random kind in every piece, and a previous mask if it is to be refined."""
    truth: Mask = np.any(pieces, axis=0)
    foreground, background = np.zeros_like(truth), np.zeros_like(truth)
    allowed = within
    previous = None
    kind = random.choice(["strokes", "clicks", "click", "box"], p=[0.42, 0.18, 0.22, 0.18])
    if len(pieces) > 1 and kind == "box":
        kind = "strokes"  # what lies in a box is taken for one piece
    for piece in pieces:
        if kind == "strokes":
            foreground |= marks.strokes(piece, int(random.integers(1, 5 if len(pieces) == 1 else 3)), random)
        elif kind != "box" or random.random() < 0.3:
            foreground |= marks.clicks(piece, 1 if kind != "clicks" else int(random.integers(2, 6)), random)
    if kind == "box":
        allowed = within & marks.box_around(truth, random)
    if random.random() < (0.15 if kind in ("box", "click") else 0.35):
        background = _outside_marks(truth, allowed, random)
    if refines and random.random() < 0.55:
        previous = damage.blurred_guess(truth, random)
    elif refines:
        wrong = damage.with_wrong_part(truth, random)
        if random.random() < 0.7:
            foreground, background, allowed = np.zeros_like(truth), np.zeros_like(truth), within
        foreground = foreground | _correcting(truth & ~wrong, random)
        background = background | _correcting(wrong & ~truth & within, random)
        previous = wrong.astype(np.float32)
    if previous is not None:
        previous = np.where(random.random() < 0.4, previous >= 0.5, previous).astype(np.float32) * within
    return View(image=image, foreground=foreground, background=background, allowed=allowed, previous=previous)


def _outside_marks(truth: Mask, allowed: Mask, random: Generator) -> Mask:
    region = marks.surroundings(truth, random) & allowed
    if not region.any():
        return region
    draw = marks.strokes if random.random() < 0.5 else marks.clicks
    return draw(region, int(random.integers(1, 4)), random)


def _correcting(error: Mask, random: Generator) -> Mask:
    """A mark in what is wrong, where that is large enough to be noticed."""
    if np.count_nonzero(error) < LEAST_PIXELS:
        return np.zeros_like(error)
    draw = marks.strokes if random.random() < 0.4 else marks.clicks
    return draw(one_piece(error, random), 1, random)


def _turned(views: Pixels, truth: Mask, counted: Mask, random: Generator) -> tuple[Pixels, Mask, Mask]:
    """All three turned by the same right angle, and mirrored in half of the cases."""
    turns, mirrored = int(random.integers(4)), random.random() < 0.5
    turned = [np.rot90(part, turns, axes=(-2, -1)) for part in (views, truth, counted)]
    views, truth, counted = (np.ascontiguousarray(part[..., ::-1] if mirrored else part) for part in turned)
    return views, truth, counted
