"""From the marks on one slice to the object's mask by a network: look at a few windows, then closer at the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from .mark_groups import joined_groups, mark_groups
from .prompt_network import PromptNetwork
from .segment import pieces_with
from .slice_prompts import Marks, SlicePrompts, draw_marks, slice_pixels
from .view import View, view_channels
from .window import Window

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

CLICK_SPAN = 4.0  # pixels; marks within it are one click
BOX_SCALES = (1.3, 1.8)  # sides of the first windows, in sides of the box
MARKS_SCALES = (1.5, 2.5, 4.5)  # ... in extents of several marks
SLICE_SHARES = (1.0, 0.5, 0.25, 0.125)  # ... in sides of the slice, around one click
LEAST_SIDE = 24.0  # pixels of a first window
CLOSER = 1.4  # side of the closer window, in extents of what was found
CLOSER_LOOKS = 2
MOST_GROUPS = 6  # of marks that are tried as pieces of their own
PIECES_MARGIN = 0.02  # confidence by which several pieces may be less convincing than one, and are still taken
CUT_PENALTY = 1.0  # confidence lost per share of the window's border that the object touches
REACH = 2  # pixels around a mark within which a change counts as asked for


@dataclass(frozen=True, kw_only=True, eq=False)
class _Find:
    """What the network sees in one window."""

    window: Window
    probability: Pixels  # (S, S)
    confidence: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Answer:
    """The object as some marks mean it."""

    probability: Pixels  # (H, W)
    confidence: float


class LearnedPrompts:
    """Solves slices with a prompt network; calling it changes nothing, so threads may share one."""

    def __init__(self, network: PromptNetwork) -> None:
        """Prepare a network, which looks at the views."""
        self._network = network.eval()
        self._size = network.config.view

    def __call__(self, image: NDArray[Any], prompts: SlicePrompts) -> Pixels:
        """Probability (H, W) of belonging to the marked object; 1 on foreground marks, 0 on background marks.

        What is above one half is the mask. A previous mask changes only where marks contradict it, and in what is
        connected with that.

        Args:
            image: (H, W) grey or (H, W, 3) colour, any number type and scale.
            prompts: what was marked on this slice.

        Raises:
            ValueError: the image is no slice, a mark lies outside it, or nothing tells where the object is.
        """
        pixels = slice_pixels(image)
        marks = draw_marks((pixels.shape[0], pixels.shape[1]), prompts)
        pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        if prompts.mask is None:
            return self._found(pixels, marks).probability
        return self._corrected(pixels, prompts.mask.astype(bool), marks)

    def _found(self, pixels: Pixels, marks: Marks) -> _Answer:
        """The object in one piece or, where that is nearly as convincing, in one piece for each group of marks."""
        whole = self._found_whole(pixels, marks)
        groups = mark_groups(marks)
        if not 1 < len(groups) <= MOST_GROUPS:
            return whole
        alone = [self._found_whole(pixels, group) for group in groups]
        joined = joined_groups(groups, [one.probability > 0.5 for one in alone])
        if len(joined) == 1:
            return whole
        parts = alone if len(joined) == len(groups) else [self._found_whole(pixels, group) for group in joined]
        confidence = float(np.mean([part.confidence for part in parts]))
        if confidence < whole.confidence - PIECES_MARGIN:
            return whole
        return _Answer(probability=np.maximum.reduce([part.probability for part in parts]), confidence=confidence)

    def _found_whole(self, pixels: Pixels, marks: Marks) -> _Answer:
        """Look at windows of several sizes, take the most convincing answer, and correct it in a window around it."""
        found = max(self._look(pixels, marks, first_windows(marks)), key=lambda find: find.confidence)
        for _ in range(CLOSER_LOOKS):
            probability = found.window.restore(found.probability, marks.allowed.shape)
            kept = _kept(probability > 0.5, marks)
            seen = kept | marks.inside
            window = _around(seen if seen.any() else marks.allowed, scale=CLOSER)
            previous = np.where(kept, probability, np.minimum(probability, np.float32(0.5)))
            (found,) = self._look(pixels, marks, [window], previous=previous if kept.any() else None)
        probability = found.window.restore(found.probability, marks.allowed.shape)
        kept = _kept(probability > 0.5, marks)
        probability = obeying(np.where(kept | (probability <= 0.5), probability, np.float32(0)), marks)
        return _Answer(probability=probability, confidence=found.confidence)

    def _corrected(self, pixels: Pixels, mask: Mask, marks: Marks) -> Pixels:
        """The previous mask, changed where marks contradict it."""
        mask = mask & marks.allowed
        added, removed = marks.inside & ~mask, marks.background & mask
        if not (added.any() or removed.any()):
            return obeying(mask.astype(np.float32), marks)
        window = _around(mask | added, scale=CLOSER)
        (found,) = self._look(pixels, marks, [window], previous=mask.astype(np.float32))
        likely = found.window.restore(found.probability, marks.allowed.shape)
        more, less = _joined(added, (likely > 0.5) & ~mask), _joined(removed, (likely <= 0.5) & mask)
        changed = np.where(more | less, likely, mask.astype(np.float32))
        unheard = added & ~ndimage.binary_dilation(more, iterations=REACH)
        if unheard.any():  # too far away to belong to the same piece: an object of its own
            apart = Marks(foreground=unheard, background=marks.background, allowed=marks.allowed)
            changed = np.maximum(changed, self._found(pixels, apart).probability)
        return obeying(changed.astype(np.float32), marks)

    def _look(
        self, pixels: Pixels, marks: Marks, windows: list[Window], *, previous: Pixels | None = None
    ) -> list[_Find]:
        """What the network sees in each window."""
        size, shape = self._size, marks.allowed.shape
        views = [
            View(
                image=window.image(pixels, size),
                foreground=window.touched(marks.inside, size),
                background=window.touched(marks.background, size),
                allowed=(window.share(marks.allowed, size) > 0.5) & window.within(shape, size),
                previous=None if previous is None else window.share(previous, size),
            )
            for window in windows
        ]
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(np.stack([view_channels(view) for view in views])))
        probabilities = logits[:, 0].sigmoid().numpy()
        return [
            _Find(window=window, probability=seen, confidence=_confidence(seen, view))
            for window, view, seen in zip(windows, views, probabilities * [v.allowed for v in views], strict=True)
        ]


def first_windows(marks: Marks) -> list[Window]:
    """Where to look for an object of which only marks are known."""
    height, width = marks.allowed.shape
    if not (marks.allowed.all() and marks.inside.any()):  # a box, possibly around the whole slice
        return [_around(marks.allowed, scale=scale) for scale in BOX_SCALES]
    rows, columns = np.nonzero(marks.inside)
    middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    extent = 1.0 + max(int(np.ptp(rows)), int(np.ptp(columns)))
    whole = float(max(height, width))
    if extent < CLICK_SPAN:
        sides = [share * whole for share in SLICE_SHARES]
    else:
        sides = [min(scale * extent, 1.3 * whole) for scale in MARKS_SCALES]
    return [Window.around(*middle, max(side, LEAST_SIDE)) for side in sides]


def obeying(probability: Pixels, marks: Marks) -> Pixels:
    """The probability (H, W) with marks and box as hard limits."""
    limited = np.where(marks.allowed & ~marks.background, probability, np.float32(0))
    obedient: Pixels = np.where(marks.inside, np.float32(1), limited)
    return obedient


def _confidence(probability: Pixels, view: View) -> float:
    """The Dice that the network itself expects of its mask, less where the window cuts the object."""
    mask = (probability > 0.5) & view.allowed
    if not mask.any():
        return -1.0
    expected = 2 * float(probability[mask].sum()) / float(probability.sum() + np.count_nonzero(mask))
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return expected - CUT_PENALTY * float(np.count_nonzero(border)) / border.size


def _around(mask: Mask, *, scale: float) -> Window:
    """A window in the middle of a mask, `scale` times as wide as its longer side."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    extent = 1.0 + max(int(np.ptp(rows)), int(np.ptp(columns)))
    return Window.around((rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2, scale * extent)


def _kept(mask: Mask, marks: Marks) -> Mask:
    """The pieces that hold a foreground mark, or the largest one in a box without any."""
    mask = mask & marks.allowed
    if marks.inside.any():
        return pieces_with(marks.inside, mask | marks.inside)
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    largest: Mask = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    return largest


def _joined(marks: Mask, change: Mask) -> Mask:
    """The parts of a change (H, W) that hold a mark; rims along an outline join nothing."""
    if not marks.any():
        return np.zeros_like(change)
    marked = ndimage.binary_dilation(marks, iterations=REACH) & change
    thick = ndimage.binary_opening(change, np.ones((3, 3))) | marked
    wanted = pieces_with(marked, thick)
    return ndimage.binary_dilation(wanted, np.ones((3, 3))) & change
