"""Where an object that was lost shows again, by its looks alone: an instrument that left the picture and comes back.

Most objects have look-alikes, and looking for them everywhere would invent masks. An object is looked for only if its
likeness, thresholded, redraws on whole frames what the user gave on the seeds, those without the object included.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from imos_engine.propagation.features import FrameEncoder
from imos_engine.propagation.resizing import FrameGrid
from imos_engine.propagation.seed_likeness import SeedLikeness

THRESHOLDS = (0.0, 0.2, 0.4, 0.6)  # of likeness, from which the best for the seeds is taken
DISTINCT = 0.95  # Dice over all seeds with which likeness must redraw them
LEAST = 0.15  # of the object's mean area on seeds that show it: smaller pieces are accidents


class _Looks(NamedTuple):
    """How an object is told from all else."""

    threshold: float  # of likeness
    least: float  # area of a piece, in pixels of the network's grid


class DistinctLooks:
    """Finds objects that nothing else on the seeds looks like, by likeness alone, wherever on the frame they are."""

    def __init__(
        self,
        encoder: FrameEncoder,
        whole: FrameGrid,
        likeness: SeedLikeness,
        masks: Mapping[int, Tensor],
        given: Mapping[int, Tensor],
    ) -> None:
        """Shapes: per seed frame, masks (K, H, W) in the frame's own pixels, 0 or 1, and (K,) which are given."""
        self._encoder, self._grid, self._likeness = encoder, whole, likeness
        self._masks, self._given = masks, given

    def find(self, index: int, lost: Tensor) -> Tensor | None:
        """Where lost objects (K,) with distinct looks show: (K, H, W) bool in the frame's own pixels; None: nowhere."""
        sought = [channel for channel in lost.nonzero()[:, 0].tolist() if channel in self._distinct]
        if not sought:
            return None
        scores = self._scores(index)
        shown = np.zeros(scores.shape, dtype=np.float32)
        for channel in sought:
            shown[channel] = _pieces(scores[channel], self._distinct[channel])
        return self._grid.restore(torch.from_numpy(shown).to(lost.device)) > 0.5 if shown.any() else None

    @cached_property
    def _distinct(self) -> dict[int, _Looks]:
        """The objects whose looks are distinct."""
        scores = {index: self._scores(index) for index in self._masks}
        truths = {index: self._grid.shrink(masks).cpu().numpy() > 0.5 for index, masks in self._masks.items()}
        chosen = {}
        for channel in range(len(next(iter(truths.values())))):
            told = [index for index, given in self._given.items() if given[channel]]
            truth = np.stack([truths[index][channel] for index in told])
            areas = np.count_nonzero(truth, axis=(1, 2))
            candidates = [
                _Looks(threshold, LEAST * areas.sum() / max(1, (areas > 0).sum())) for threshold in THRESHOLDS
            ]
            dices = []
            for looks in candidates:
                drawn = np.stack([_pieces(scores[index][channel], looks) for index in told])
                dices.append(2 * np.count_nonzero(drawn & truth) / max(1, drawn.sum() + areas.sum()))
            best = int(np.argmax(dices))
            if dices[best] >= DISTINCT:
                chosen[channel] = candidates[best]
        return chosen

    def _scores(self, index: int) -> NDArray[np.float32]:
        """Likeness to every object on a frame, (K, h, w); the lowest beside the frame."""
        every = torch.arange(len(next(iter(self._masks.values()))))
        image = self._encoder.image(index, self._grid)
        scores = self._likeness.of(image, self._grid, every).scores[0].float().cpu().numpy()
        left, right, top, bottom = self._grid.padding
        return np.pad(
            scores[:, top : scores.shape[1] - bottom, left : scores.shape[2] - right],
            ((0, 0), (top, bottom), (left, right)),
            constant_values=scores.min(),
        )


def _pieces(scores: NDArray[np.float32], looks: _Looks) -> NDArray[np.bool_]:
    """Connected pieces above a threshold, of at least some area. Shapes: scores (h, w)."""
    numbered, _ = ndimage.label(ndimage.binary_opening(scores > looks.threshold))
    large = np.bincount(numbered.ravel()) >= max(looks.least, 1)
    large[0] = False
    found: NDArray[np.bool_] = large[numbered]
    return found
