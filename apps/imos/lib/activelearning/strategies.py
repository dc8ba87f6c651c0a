"""`POST /activelearning/{strategy}`: which image to annotate next, and where on it to begin."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lib.activelearning.choice import Candidate, Order, choose_next
from lib.activelearning.starting_point import starting_point
from lib.scoring.quality import accepted_names, known_scores
from lib.trainers.statistics import newest_card

DESCRIPTIONS = {
    Order.FIRST: "The first image without an accepted label, by name",
    Order.RANDOM: "Any image without an accepted label; those shown long ago come first",
    Order.FOREGROUND: "Any image that still lacks a label, those that lack a rarely accepted one first",
    Order.UNCERTAINTY: "The image whose proposal is least certain, of a label that is rarely accepted",
}


class NextImage(Strategy):
    """One order of asking; the reply also says on which slice and in which plane to begin."""

    def __init__(self, order: Order, *, bank: Path | None = None, chance: random.Random | None = None) -> None:
        """`bank` is the folder of adapters, whose last training knows whether further labels still help."""
        super().__init__(DESCRIPTIONS[order])
        self._order, self._bank = order, bank
        self._chance = chance or random.Random()

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """The next image with its starting point; None when every image has its labels."""
        asked = _names(request.get("labels") or request.get("label"))
        accepted = accepted_names(datastore)
        known = frozenset[str]().union(*accepted.values())
        candidates = []
        for image in sorted(datastore.list_images()):
            has = accepted.get(image)
            if has is not None and not asked and self._order is not Order.FOREGROUND:
                continue
            proposed = known_scores(datastore, image).get("uncertainty") or {}
            # What was begun on an image tells which structures it holds: not all that a site names occur on each.
            lacks = (asked or frozenset(proposed) or known) - (has or set())
            if has is not None and not (has and lacks):  # labels without a name are taken to be complete
                continue
            candidates.append(
                Candidate(
                    image=image,
                    lacks=lacks,
                    seen=_last_shown(datastore.get_image_info(image), str(request.get("strategy"))),
                    uncertainty={name: value for name, value in proposed.items() if name in lacks},
                )
            )
        at_stake = known.union(*(candidate.lacks for candidate in candidates))
        counts = {name: sum(name in names for names in accepted.values()) for name in at_stake}
        chosen = choose_next(candidates, self._order, counts=counts, now=time(), chance=self._chance)
        if chosen is None:
            return None
        begin = starting_point(datastore, chosen.image)
        answer = {"id": chosen.image, "imos_start": begin, "imos_labels": sorted(chosen.lacks), **begin}
        advice = self._advice()
        return answer if advice is None else {**answer, "imos_advice": advice}

    def _advice(self) -> str | None:
        """What the last training says of further labels; None before the first."""
        card = None if self._bank is None else newest_card(self._bank)
        return None if card is None else card.metrics.get("advice")


def _names(value: Any) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else value or ()
    return frozenset(str(name).strip() for name in names if str(name).strip())


def _last_shown(info: Mapping[str, Any], strategy: str) -> float:
    return float(((info.get("strategy") or {}).get(strategy) or {}).get("ts", 0))
