"""The outline of a roughly known region, settled by a random walk between its core and its surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

BAND_SHARE = 0.12  # of the square root of the area: how far the outline may move to either side
SMOOTHING = 0.7  # pixels
STOPPING = 20.0  # how fast a step of the contrast across the band between neighbours stops the walk
LEAST_WEIGHT = 1e-3  # of a link across the strongest edge: keeps the system solvable


def settle_outline(region: Mask, image: Pixels, *, inside: Mask, outside: Mask) -> Mask:
    """Move the outline of `region` to the edges near it.

    Every pixel of a band around the outline joins the side that a random walk, slowed by edges, reaches first.
    Shapes: all (H, W), image (H, W, C); `inside` and `outside` are certain and disjoint.
    """
    width = max(1.5, BAND_SHARE * np.sqrt(np.count_nonzero(region)))
    core = ((ndimage.distance_transform_edt(region) > width) | inside) & ~outside
    far = (ndimage.distance_transform_edt(~region) > width) | outside
    unknown = ~(core | far)
    if not unknown.any() or not core.any() or not far.any():
        unsettled: Mask = (region | inside) & ~outside
        return unsettled
    values = ndimage.gaussian_filter(image, (SMOOTHING, SMOOTHING, 0))
    contrast = values[unknown].std(axis=0) + np.float32(1e-6)
    settled: Mask = core
    settled[unknown] = _walk(values / contrast, unknown, core) > 0.5
    return settled


def _walk(values: Pixels, unknown: Mask, core: Mask) -> NDArray[np.float64]:
    """Chance of each unknown pixel, in array order, to reach the core before the surroundings."""
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(np.count_nonzero(unknown))
    size = int(number.max()) + 1
    degree, pull = np.zeros(size), np.zeros(size)
    rows, columns, links = [], [], []
    for axis in (0, 1):
        one, other = _neighbours(axis)
        weight = LEAST_WEIGHT + np.exp(-STOPPING * ((values[one] - values[other]) ** 2).sum(axis=2))
        for here, there in ((one, other), (other, one)):
            known = unknown[here]
            np.add.at(degree, number[here][known], weight[known])
            np.add.at(pull, number[here][known], weight[known] * core[there][known])
            both = known & unknown[there]
            rows.append(number[here][both])
            columns.append(number[there][both])
            links.append(-weight[both])
    diagonal = np.arange(size)
    entries = (
        np.concatenate([*links, degree]),
        (np.concatenate([*rows, diagonal]), np.concatenate([*columns, diagonal])),
    )
    laplacian = sparse.csr_matrix(entries, shape=(size, size))
    chance, _ = cg(laplacian, pull, rtol=1e-3, maxiter=300, M=sparse.diags(1 / degree))
    return np.asarray(chance)


def _neighbours(axis: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    first, second = [slice(None), slice(None)], [slice(None), slice(None)]
    first[axis], second[axis] = slice(None, -1), slice(1, None)
    return (first[0], first[1]), (second[0], second[1])
