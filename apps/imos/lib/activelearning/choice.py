"""Choosing among images that lack labels: pure functions of what is known of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

UNKNOWN = 0.5  # uncertainty of a label that nothing was proposed for
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
    lacks: frozenset[str] = frozenset()  # names of labels that it should still get, as far as they are known
    seen: float = 0.0  # seconds since the epoch when this strategy last returned it; 0: never
    uncertainty: Mapping[str, float] = field(default_factory=dict)  # of what was proposed, by label, 0 to 1


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
    rarity = _rarities(candidates, counts)
    if order is Order.FOREGROUND:
        rarest = [max((rarity[name] for name in candidate.lacks), default=1.0) for candidate in candidates]
        return chance.choices(candidates, [a * b for a, b in zip(weights, rarest, strict=True)])[0]
    noise = NOISE * 0.5 ** (sum(counts.values()) / HALVES_EVERY)
    merit = [_merit(candidate, rarity) + noise * chance.random() for candidate in candidates]
    return candidates[merit.index(max(merit))]


def _merit(candidate: Candidate, rarity: Mapping[str, float]) -> float:
    """How much is open on an image: the uncertainty of its least certain label, a frequent one counting less."""
    if not candidate.lacks:
        return max(candidate.uncertainty.values(), default=UNKNOWN)
    return max(candidate.uncertainty.get(name, UNKNOWN) * rarity[name] for name in candidate.lacks)


def _rarities(candidates: Sequence[Candidate], counts: Mapping[str, int]) -> dict[str, float]:
    """1 for the label that is accepted least often among those that are lacked, less for the others.

    Relative to the rarest, for the noise decays, and uncertainties that shrank along with it would never outweigh it.
    """
    lacked = {name: counts.get(name, 0) for candidate in candidates for name in candidate.lacks}
    fewest = min(lacked.values(), default=0)
    return {name: (1 + fewest) / (1 + count) for name, count in lacked.items()}
