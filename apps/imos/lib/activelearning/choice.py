"""Choosing among images that lack labels: pure functions of what is known of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

UNKNOWN = 0.5  # uncertainty of an image without a proposal
NOISE = 0.3  # largest random part of an uncertainty at the beginning
HALVES_EVERY = 4.0  # accepted labels after which the noise is half as large


class Order(Enum):
    """How the next image is chosen; the values are the names of the strategies."""

    FIRST = "first"
    RANDOM = "random"
    FOREGROUND = "imos_foreground"
    UNCERTAINTY = "imos_uncertainty"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image that lacks an accepted label."""

    image: str
    lacks: frozenset[str] = frozenset()  # names wanted that are not accepted on it
    seen: float = 0.0  # seconds since the epoch when this strategy last returned it; 0: never
    uncertainty: float | None = None  # of its proposal, 0 to 1; None: nothing was proposed


def choose_next(
    candidates: Sequence[Candidate], order: Order, *, counts: Mapping[str, int], now: float, chance: random.Random
) -> Candidate | None:
    """The next image, or None without any.

    Args:
        candidates: in the order of their names.
        order: how to choose.
        counts: on how many images each label is accepted.
        now: seconds since the epoch.
        chance: draws.
    """
    if not candidates:
        return None
    if order is Order.FIRST:
        return candidates[0]
    weights = [max(now - candidate.seen, 1.0) for candidate in candidates]
    if order is Order.RANDOM:
        return chance.choices(candidates, weights)[0]
    rarity = [_rarity(candidate, counts) for candidate in candidates]
    if order is Order.FOREGROUND:
        return chance.choices(candidates, [a * b for a, b in zip(weights, rarity, strict=True)])[0]
    noise = NOISE * 0.5 ** (sum(counts.values()) / HALVES_EVERY)
    merit = [
        (UNKNOWN if candidate.uncertainty is None else candidate.uncertainty) * rare + noise * chance.random()
        for candidate, rare in zip(candidates, rarity, strict=True)
    ]
    return candidates[merit.index(max(merit))]


def _rarity(candidate: Candidate, counts: Mapping[str, int]) -> float:
    """1 for an image that lacks a label which nobody accepted yet, less the more often its rarest one was."""
    return 1 / (1 + min((counts.get(name, 0) for name in candidate.lacks), default=0))
