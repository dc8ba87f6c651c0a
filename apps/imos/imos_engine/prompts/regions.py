"""Regions that grow from the marks through similar tissue, and the choice of the one that ends at an edge."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from .appearance import FARTHEST, Appearance

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]

STEP_COST = 0.1  # of a pixel of typical tissue; a foreign pixel costs 1 more
CANDIDATES = 40  # regions compared
EDGE = 1.0  # gradient, in spreads per pixel, of an edge that is half convincing


@dataclass(frozen=True, kw_only=True)
class SizePrior:
    """How large the object is likely to be; a region within a factor of `tolerance` of `area` is not penalised."""

    area: float  # pixels
    tolerance: float  # factor, at least 1
    weight: float  # score lost per factor of e beyond the tolerance

    def penalty(self, area: float) -> float:
        """What a region of `area` pixels loses of its score, 0 or more."""
        return self.weight * max(0.0, abs(math.log(area / self.area)) - math.log(self.tolerance))


def travel_costs(appearance: Appearance) -> Distances:
    """Cost of passing each pixel, STEP_COST to STEP_COST + 1, (H, W)."""
    return STEP_COST + (appearance.difference.astype(np.float64) / FARTHEST) ** 2


def distances_from(marks: Mask, costs: Distances) -> Distances:
    """Cheapest way from any mark to every pixel, (H, W); infinite without marks."""
    if not marks.any():
        return np.full(costs.shape, np.inf)
    distances: Distances = MCP_Geometric(costs).find_costs(np.argwhere(marks))[0]
    return distances


def best_region(appearance: Appearance, distances: Distances, allowed: Mask, size: SizePrior) -> Mask:
    """Of the regions within growing distances, the one with the clearest edge and a likely size.

    Shapes: all (H, W). Returns a mask inside `allowed` that contains every pixel at distance 0.
    """
    edge = appearance.gradient / (appearance.gradient + EDGE)
    best, best_score = distances <= 0, -math.inf
    for region in _growing_regions(distances, allowed):
        # The image border and the limit of what is allowed are no evidence, for or against.
        rim = ndimage.binary_dilation(region) & ~region & allowed
        score = float(edge[rim].mean() if rim.any() else 0.0) - size.penalty(np.count_nonzero(region))
        if score > best_score:
            best, best_score = region, score
    return best


def _growing_regions(distances: Distances, allowed: Mask) -> Iterator[Mask]:
    """Regions of geometrically growing area, from just the marks to most of what is allowed."""
    reachable = np.sort(distances[allowed & np.isfinite(distances)])
    marked = int(np.searchsorted(reachable, 0.0, side="right"))
    first, last = min(max(12, 1.3 * marked), reachable.size), max(0.95 * reachable.size, 1)
    for area in np.geomspace(first, max(first, last), CANDIDATES):
        limit = reachable[min(int(area), reachable.size) - 1]
        yield ndimage.binary_fill_holes((distances <= limit) & allowed) & allowed
