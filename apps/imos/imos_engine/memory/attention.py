"""Reading memory by similarity: pure functions (arXiv 2207.07115, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def similarity(memory_key: Tensor, shrinkage: Tensor, query_key: Tensor, selection: Tensor) -> Tensor:
    """Negative anisotropic squared distance from memory pixels to query pixels.

    Shapes: memory_key (B, Ck, N), shrinkage (B, 1, N), query_key and selection (B, Ck, P).
    Returns: (B, N, P), at most 0 up to rounding; 0 is a perfect match.
    """
    # e (k - q)^2 = e k^2 - 2 e q k + e q^2, so two matrix products (here one, stacked) replace an (N, P, Ck) array.
    weighted_query = selection * query_key
    memory = torch.cat((memory_key.square(), memory_key), dim=1)
    query = torch.cat((-selection, 2 * weighted_query), dim=1)
    query_norm = (weighted_query * query_key).sum(1, keepdim=True)
    scale = shrinkage.mT / memory_key.shape[1] ** 0.5
    return (memory.mT @ query - query_norm) * scale


def affinity(scores: Tensor, *, top_k: int | None) -> Tensor:
    """Share of each memory pixel in each query pixel's readout.

    Shapes: scores (B, N, P). Returns: (B, N, P), each column sums to 1 over at most `top_k` entries.
    """
    if top_k is None or top_k >= scores.shape[1]:
        return scores.softmax(dim=1)
    sparse = top_k_affinity(scores.mT, top_k=top_k)
    dense = torch.zeros_like(scores.mT, dtype=sparse.weights.dtype)
    return dense.scatter(2, sparse.indices, sparse.weights).mT


class SparseAffinity(NamedTuple):
    """The non-zero part of an affinity: each query pixel reads k memory pixels."""

    weights: Tensor  # (B, P, k), each row sums to 1
    indices: Tensor  # (B, P, k), positions among the N memory pixels


def top_k_affinity(scores: Tensor, *, top_k: int) -> SparseAffinity:
    """Softmax over the best `top_k` memory pixels of each query pixel.

    Shapes: scores (B, P, N): query pixels first, so that the search runs along contiguous memory.
    """
    values, indices = scores.topk(min(top_k, scores.shape[2]), dim=2, sorted=False)
    # softmax() shifts by the maximum. XMem exponentiates the raw scores, which is 0/0 when a query is far from every
    # memory pixel (all scores near -200); the weights are otherwise equal.
    return SparseAffinity(values.softmax(dim=2), indices)


def read_memory(weights: Tensor, values: Tensor) -> Tensor:
    """Blend memory values into every query pixel.

    Shapes: weights (B, N, P), each column sums to 1; values (B, K, Cv, N).
    Returns: (B, K, Cv, P).
    """
    return torch.einsum("bnp,bkcn->bkcp", weights, values)
