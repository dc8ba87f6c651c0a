"""Whether more labels still help: what the last versions of an adapter gained, and what of it may be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from imos_engine.adapters.card import Card

LAST = 3  # versions, each of which learned from labels that those before it had not
WORTH = 0.01  # J&F per version; less is not worth an expert's hours


@dataclass(frozen=True, kw_only=True)
class RecentGain:
    """What each of the last versions brought, in the mean."""

    versions: int
    labels: int  # accepted labels that were new to them, in all
    mean: float  # J&F per version
    low: float  # of its 95 % interval
    high: float

    @property
    def has_ended(self) -> bool:
        """Whether a gain worth having is ruled out."""
        return self.high < WORTH

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "has_ended": self.has_ended}


def recent_gain(cards: Sequence[Card]) -> RecentGain | None:
    """The gain of the LAST versions that learned from more labels than those before; None while there are fewer.

    Provisional versions do not count: their numbers are rough. A version that the gate refused left things as they
    were, so that its gain is 0; by how much more it may have been worth, its own interval says.

    Args:
        cards: of one adapter, from the first version to the newest.
    """
    told: list[tuple[float, float, float, int]] = []  # mean, low, high, new labels
    seen: set[str] = set()
    for card in cards:
        labels = {case.label_sha256 for case in card.cases}
        overall = card.metrics.get("overall")
        if labels - seen and overall and not card.provisional:
            mean = overall["after"] - overall["before"] if card.accepted else 0.0
            low = overall["low"] if card.accepted else 0.0
            told.append((mean, min(low, mean), max(overall["high"], mean), len(labels - seen)))
        seen |= labels
    if len(told) < LAST:
        return None
    means, lows, highs, new = zip(*told[-LAST:], strict=True)
    mean = sum(means) / LAST
    # The versions' errors are taken as independent of each other: half-widths add up like standard deviations.
    below = math.hypot(*(one - low for one, low in zip(means, lows, strict=True))) / LAST
    above = math.hypot(*(high - one for one, high in zip(means, highs, strict=True))) / LAST
    return RecentGain(versions=LAST, labels=sum(new), mean=mean, low=mean - below, high=mean + above)
