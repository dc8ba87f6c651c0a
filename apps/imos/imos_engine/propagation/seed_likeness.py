"""How much a frame looks like the objects on the seeds, in whatever window it is looked at."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from imos_engine.network.likeness import Likeness, LikenessModel, Moments, filter_bank, fit_likeness, seed_moments
from imos_engine.propagation.features import FrameEncoder
from imos_engine.propagation.resizing import FrameGrid
from imos_engine.propagation.window import Windows, extent_of


class SeedLikeness:
    """Fitted to every seed, those ahead included; anew for every size of window, since the filters count pixels."""

    def __init__(
        self, encoder: FrameEncoder, windows: Windows, masks: Mapping[int, Tensor], given: Mapping[int, Tensor]
    ) -> None:
        """Shapes: per seed frame, masks (K, H, W) in the frame's own pixels, 0 or 1, and (K,) which are given."""
        self._encoder, self._windows = encoder, windows
        self._masks, self._given = masks, given
        self._models: dict[tuple[int, int], LikenessModel] = {}

    def of(self, image: Tensor, grid: FrameGrid, channels: Tensor) -> Likeness:
        """Of some objects, by their numbers. Shapes: image (1, 3, h, w) as seen on the grid."""
        size = grid.box.height, grid.box.width
        if size not in self._models:
            self._models[size] = self._fit(grid)
        found = self._models[size](filter_bank(image))
        return Likeness(found.scores[:, channels], found.typical[:, channels])

    def _fit(self, grid: FrameGrid) -> LikenessModel:
        total: Moments | None = None
        for index, masks in self._masks.items():
            seen = self._windows.like(grid, extent_of((masks > 0.5).any(0).cpu().numpy()))
            filtered = filter_bank(self._encoder.image(index, seen))
            found = seed_moments(filtered, seen.shrink(masks).clamp(0, 1)[None]).of(self._given[index])
            total = found if total is None else Moments(*(a + b for a, b in zip(total, found, strict=True)))
        assert total is not None, "a sweep has at least one seed"
        return fit_likeness(total)
