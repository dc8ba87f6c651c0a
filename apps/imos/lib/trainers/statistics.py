"""A version's figures in the form that MONAI Label's clients read: Slicer shows `best_metric` as accuracy."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from imos_engine.adapters import AdapterBank, AdapterError, Card

logger = logging.getLogger(__name__)

METRIC = "val_mean_jf"


def newest_card(bank: Path) -> Card | None:
    """The card of the version that was made last, published or not; None where there is none."""
    shelf = AdapterBank(bank, base_sha256="")
    cards = []
    for name in shelf.names():
        for version in shelf.versions(name)[-1:]:
            try:
                cards.append(shelf.card(name, version))
            except AdapterError as error:
                logger.info("Left out of the statistics: %s", error)
    return max(cards, key=lambda card: card.created, default=None)


def statistics(card: Card) -> dict[str, Any]:
    """What `/info/` and the training's own result say."""
    overall = card.metrics.get("overall") or {}
    after, before = overall.get("after"), overall.get("before")
    labels = {name: change["after"] for name, change in (card.metrics.get("labels") or {}).items()}
    return {
        "best_metric": after,
        "epoch": 1,
        "start_ts": card.created,
        "total_time": str(timedelta(seconds=int(card.metrics.get("seconds") or 0))),
        "eval": {
            "metrics": {METRIC: after, "before": before, **labels},
            "key_metric_name": METRIC,
            "best_metric": after,
            "best_metric_epoch": 1,
        },
        "imos": {
            "adapter": f"{card.name}/{card.version}",
            "published": card.accepted,
            "provisional": card.provisional,
            "reasons": list(card.reasons),
            "advice": card.metrics.get("advice"),
            "recent_gain": card.metrics.get("recent_gain"),
            "images": len(card.cases),
            "devices": card.metrics.get("devices"),
        },
    }
