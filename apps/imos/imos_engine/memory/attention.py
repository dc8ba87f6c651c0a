"""Reading memory by similarity: pure functions (arXiv 2207.07115, section 3.2).

The similarity is a matrix product: all that depends on memory on one side, all that depends on the query on the other.
Memory's side is made once per write, the query's once per frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def memory_side(memory_key: Tensor, shrinkage: Tensor) -> Tensor:
    """Memory's half of the similarity: s / sqrt(Ck) * [k^2, k, 1].

    Shapes: memory_key (..., Ck, N), shrinkage (..., 1, N). Returns: (..., 2*Ck + 1, N).
    """
    scale = shrinkage / memory_key.shape[-2] ** 0.5
    return torch.cat((memory_key.square() * scale, memory_key * scale, scale), dim=-2)


def query_side(query_key: Tensor, selection: Tensor) -> Tensor:
    """The query's half of the similarity: [-e, 2 e q, -sum e q^2].

    Shapes: query_key and selection (..., Ck, P). Returns: (..., 2*Ck + 1, P).
    """
    weighted = selection * query_key
    return torch.cat((-selection, 2 * weighted, -(weighted * query_key).sum(-2, keepdim=True)), dim=-2)


def similarity(memory_key: Tensor, shrinkage: Tensor, query_key: Tensor, selection: Tensor) -> Tensor:
    """Negative anisotropic squared distance from memory pixels to query pixels.

    Shapes: memory_key (B, Ck, N), shrinkage (B, 1, N), query_key and selection (B, Ck, P).
    Returns: (B, N, P), at most 0 up to rounding; 0 is a perfect match.
    """
    return memory_side(memory_key, shrinkage).mT @ query_side(query_key, selection)


class SparseAffinity(NamedTuple):
    """The non-zero part of an affinity: each query pixel reads k memory pixels."""

    weights: Tensor  # (..., P, k), each row sums to 1
    indices: Tensor  # (..., P, k), positions among the N memory pixels


def top_k_affinity(scores: Tensor, *, top_k: int | None) -> SparseAffinity:
    """Softmax over the best `top_k` memory pixels of each query pixel.

    Shapes: scores (..., P, N): query pixels first, so that the search runs along contiguous memory.
    """
    memory_pixels = scores.shape[-1]
    best, indices = scores.topk(min(top_k or memory_pixels, memory_pixels), dim=-1, sorted=False)
    # softmax() shifts by the maximum. XMem exponentiates the raw scores, which is 0/0 when a query is far from every
    # memory pixel (all scores near -200); the weights are otherwise equal.
    return SparseAffinity(best.softmax(dim=-1), indices)


def affinity(scores: Tensor, *, top_k: int | None) -> Tensor:
    """Share of each memory pixel in each query pixel's readout.

    Shapes: scores (B, N, P). Returns: (B, N, P), each column sums to 1 over at most `top_k` entries.
    """
    if top_k is None or top_k >= scores.shape[1]:
        return scores.softmax(dim=1)
    sparse = top_k_affinity(scores.mT, top_k=top_k)
    return torch.zeros_like(scores.mT).scatter(2, sparse.indices, sparse.weights).mT


def read_memory(weights: Tensor, values: Tensor) -> Tensor:
    """Blend memory values into every query pixel.

    Shapes: weights (B, N, P), each column sums to 1; values (B, K, Cv, N).
    Returns: (B, K, Cv, P).
    """
    return torch.einsum("bnp,bkcn->bkcp", weights, values)


def gather_memory(sparse: SparseAffinity, rows: Tensor) -> Tensor:
    """The same blend as `read_memory`, touching only the k memory pixels that each query pixel reads.

    Shapes: sparse.weights and sparse.indices (P, k); rows (N, C), one memory pixel a row. Returns: (P, C).
    """
    return F.embedding_bag(sparse.indices, rows, mode="sum", per_sample_weights=sparse.weights.to(rows.dtype))
