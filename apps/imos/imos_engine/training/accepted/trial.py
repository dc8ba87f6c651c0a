"""A candidate tried on volumes that it did not learn from, beside what it would replace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from imos_engine.adapters import AdapterVersion
from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.gate import Pair
from imos_engine.adapters.measure import carried_labels, label_scores
from imos_engine.network.adapter_weights import AdapterWeights
from imos_engine.propagation import AdaptedPropagator
from imos_engine.training.accepted.gallery import ChangedSlice, most_changed


@dataclass(kw_only=True)
class Trial:
    """Pairs of numbers for the gate, and what changed most, over all volumes tried so far."""

    propagator: AdaptedPropagator
    in_force: AdapterVersion | None  # what the candidate would replace; None is the network without adapters
    look_up: Callable[[], None] = lambda: None  # called before each volume is carried; may raise
    pairs: list[Pair] = field(default_factory=list)
    changes: list[ChangedSlice] = field(default_factory=list)

    def compare(self, volumes: Sequence[AcceptedVolume], candidate: AdapterWeights) -> None:
        """Carry every label of these volumes before and after.

        What is in force stands for "before" where it did not learn from the image, else the number that its own
        cross-validation gave for the same label; where there is none, the network without adapters. So a version is
        never compared with one that has the image by heart, and yet with what it would replace wherever that is fair.
        """
        for volume in volumes:
            fair = self.in_force is not None and not _learned_from(self.in_force, volume)
            before = self._carried(volume, self.in_force.weights if self.in_force is not None and fair else None)
            after = self._carried(volume, candidate)
            found, made = label_scores(volume, before), label_scores(volume, after)
            if self.in_force is not None and not fair:
                found |= _own_numbers(self.in_force, volume)
            self.pairs += [
                Pair(image=_named(volume), label=label, before=found[label], after=made[label])
                for label in sorted(found.keys() & made.keys())
            ]
            changed = most_changed(volume, before, after)
            if changed is not None:
                self.changes.append(changed)

    def to_dict(self) -> list[dict[str, Any]]:
        """The pairs as plain values, ready for JSON."""
        return [asdict(pair) for pair in self.pairs]

    def _carried(self, volume: AcceptedVolume, weights: AdapterWeights | None) -> Any:
        self.look_up()
        self.propagator.wear(weights, identity=object())  # weights that come and go share no identity
        return carried_labels(self.propagator, volume)


def _learned_from(version: AdapterVersion, volume: AcceptedVolume) -> bool:
    return any(case.image_sha256 == volume.image_sha256 and case.role == "training" for case in version.card.cases)


def _own_numbers(version: AdapterVersion, volume: AcceptedVolume) -> Mapping[str, float]:
    """J&F by label that a version's cross-validation gave for this very label of this image, or of this part of it."""
    card = version.card
    if not card.provisional or all(case.label_sha256 != volume.label_sha256 for case in card.cases):
        return {}
    pairs = card.metrics.get("pairs") or ()
    return {pair["label"]: pair["after"] for pair in pairs if pair["image"] == _named(volume)}


def _named(volume: AcceptedVolume) -> str:
    return volume.image_sha256 if volume.part is None else f"{volume.image_sha256}/{volume.part}"
