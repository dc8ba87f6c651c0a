"""Long-term memory: many working elements become few prototypes, and the least used are forgotten."""

from __future__ import annotations

import torch

from imos_engine.memory.attention import similarity
from imos_engine.memory.elements import Elements

NEWBORN_LIFETIME = 1e-7  # reads survived by an element that was never read; avoids 0/0 in the rate of use


def consolidate(candidates: Elements, *, prototypes: int) -> Elements:
    """Summarise elements by prototypes (arXiv 2207.07115, section 3.3.2).

    The most used candidates lend their keys; each prototype's value and shrinkage are what it would read from all
    candidates. A prototype knows an object only from candidates that know it.
    """
    if len(candidates) <= prototypes:
        return candidates
    chosen = candidates[candidates.rate.topk(prototypes).indices]
    scores = similarity(candidates.key.mT, candidates.shrinkage.mT, chosen.key.mT, chosen.selection.mT)  # (N, P)
    weights = scores.softmax(dim=0)
    values, valid = _read_known(candidates, scores)
    return Elements(
        key=chosen.key,
        shrinkage=weights.mT @ candidates.shrinkage,
        selection=chosen.selection,
        values=values,
        valid=valid,
        usage=torch.zeros_like(chosen.usage),
        lifetime=torch.full_like(chosen.lifetime, NEWBORN_LIFETIME),
    )


def forget(elements: Elements, *, keep: int) -> Elements:
    """The `keep` most used elements, in their old order."""
    if len(elements) <= keep:
        return elements
    return elements[elements.rate.topk(keep).indices.sort().values]


def _read_known(candidates: Elements, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (P, K, Cv) read object by object from those candidates that know it, and whether any does (P, K)."""
    objects = candidates.values.shape[1]
    known_by_any = candidates.valid.any(dim=0)
    values = []
    for channel in range(objects):
        known = candidates.valid[:, channel, None]
        masked = scores.masked_fill(~known, -torch.inf) if known_by_any[channel] else scores
        weights = masked.softmax(dim=0)
        values.append(weights.mT @ candidates.values[:, channel].float())
    blended = torch.stack(values, dim=1).to(candidates.values.dtype)
    return blended, known_by_any.expand(scores.shape[1], -1).clone()
