"""`POST /activelearning/{strategy}`: which image to annotate next, and where on it to begin."""

from __future__ import annotations

import random
from collections.abc import Mapping
from time import time
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lib.activelearning.choice import Candidate, Order, choose_next
from lib.activelearning.starting_point import starting_point
from lib.scoring.quality import accepted_names, known_scores

DESCRIPTIONS = {
    Order.FIRST: "The first image without an accepted label, by name",
    Order.RANDOM: "Any image without an accepted label; those shown long ago come first",
    Order.FOREGROUND: "Any image that still lacks a label, those that lack a rarely accepted one first",
    Order.UNCERTAINTY: "The image whose proposal is least certain, of a label that is rarely accepted",
}


class NextImage(Strategy):
    """One order of asking; the reply also says on which slice and in which plane to begin."""

    def __init__(self, order: Order, *, chance: random.Random | None = None) -> None:
        super().__init__(DESCRIPTIONS[order])
        self._order = order
        self._chance = chance or random.Random()

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """The next image with its starting point; None when every image has its labels."""
        wanted = _names(request.get("labels") or request.get("label"))
        accepted = accepted_names(datastore)
        known = set().union(*accepted.values()) if accepted else set()
        wanted = wanted or frozenset(known if self._order is Order.FOREGROUND else ())
        candidates = [
            Candidate(
                image=image,
                lacks=frozenset(wanted - accepted.get(image, set())),
                seen=_last_shown(datastore.get_image_info(image), str(request.get("strategy"))),
                uncertainty=_uncertainty(known_scores(datastore, image), wanted),
            )
            for image in sorted(datastore.list_images())
            if image not in accepted or (accepted[image] and wanted - accepted[image])  # unnamed labels are complete
        ]
        counts = {name: sum(name in names for names in accepted.values()) for name in known | wanted}
        chosen = choose_next(candidates, self._order, counts=counts, now=time(), chance=self._chance)
        if chosen is None:
            return None
        begin = starting_point(datastore, chosen.image)
        lacks = sorted(chosen.lacks)
        return {"id": chosen.image, "imos_start": begin, "imos_labels": lacks, **begin}


def _names(value: Any) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else value or ()
    return frozenset(str(name).strip() for name in names if str(name).strip())


def _last_shown(info: Mapping[str, Any], strategy: str) -> float:
    return float(((info.get("strategy") or {}).get(strategy) or {}).get("ts", 0))


def _uncertainty(scores: Mapping[str, Any], wanted: frozenset[str]) -> float | None:
    """How unsure the proposal is, 0 to 1; of the wanted labels where it tells them apart; None without one."""
    by_label = scores.get("uncertainty") or {}
    values = [by_label[name] for name in wanted if name in by_label] or list(by_label.values())
    return max(values, default=None)
