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
from .slice_prompts import Marks

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]

# Cost of a pixel of typical tissue; a foreign one costs 1 more. Little: regions fill an organ to its far end before
# they leave it. More: they do not run far along a thin bridge of similar tissue.
STEP_COSTS = (0.02, 0.1)
CANDIDATES = 30  # regions compared per step cost
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


def distances_between(appearance: Appearance, marks: Marks, *, step_cost: float) -> tuple[Distances, Distances]:
    """Distance of every pixel from the foreground and from the background marks, (H, W) each.

    The object is near its marks through similar tissue. Background marks on other tissue reach what is unlike the
    object; those on similar tissue (a neighbour that touches) reach as far as the object's own.
    """
    costs = travel_costs(appearance, step_cost=step_cost)
    similar = marks.background & (appearance.difference < FARTHEST / 2)
    beside = distances_from(similar, costs)
    unlike = distances_from(marks.background & ~similar, 2 * step_cost + 1 - costs)
    return distances_from(marks.inside, costs), np.minimum(beside, unlike)


def paths_between(marks: Mask, costs: Distances) -> Mask:
    """The marks and the cheapest paths that join them: more of the object's tissue than single clicks show."""
    pieces, count = ndimage.label(marks, np.ones((3, 3)))
    joined: Mask = pieces == 1
    for piece in range(2, count + 1):
        ways = MCP_Geometric(costs)
        distances = ways.find_costs(np.argwhere(joined))[0]
        points = np.argwhere(pieces == piece)
        nearest = points[distances[tuple(points.T)].argmin()]
        joined[tuple(np.transpose(ways.traceback(nearest)))] = True
        joined |= pieces == piece
    return joined


def travel_costs(appearance: Appearance, *, step_cost: float) -> Distances:
    """Cost of passing each pixel, step_cost to step_cost + 1, (H, W)."""
    return step_cost + (appearance.difference.astype(np.float64) / FARTHEST) ** 2


def distances_from(marks: Mask, costs: Distances) -> Distances:
    """Cheapest way from any mark to every pixel, (H, W); infinite without marks."""
    if not marks.any():
        return np.full(costs.shape, np.inf)
    distances: Distances = MCP_Geometric(costs).find_costs(np.argwhere(marks))[0]
    return distances


def best_region(appearance: Appearance, marks: Marks, size: SizePrior) -> Mask:
    """Of many regions around the marks, the one with the clearest edge and a likely size.

    Shapes: (H, W) each. Returns a mask where the marks allow it, that contains every foreground mark.
    """
    edge = appearance.gradient / (appearance.gradient + EDGE)
    best, best_score = marks.inside, -math.inf
    for step_cost in STEP_COSTS:
        from_object, from_background = distances_between(appearance, marks, step_cost=step_cost)
        allowed = marks.allowed & (from_object < from_background)
        for region in _growing_regions(from_object, allowed):
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
