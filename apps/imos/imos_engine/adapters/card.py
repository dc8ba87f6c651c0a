"""What is known of one adapter version, as it lies beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LearnedCase:
    """One accepted label that a version has seen, by content alone."""

    image_sha256: str
    label_sha256: str
    role: str  # training or validation


@dataclass(frozen=True, kw_only=True)
class Card:
    """One version."""

    name: str  # of the adapter, the same for all its versions
    version: int  # from 1
    parent: int | None  # the version whose weights it began with; None: fresh adapters
    created: str  # ISO 8601, UTC
    base_sha256: str  # of the file of the network that it belongs to
    weights_sha256: str  # of its own file
    labels: tuple[str, ...]  # names of the structures that it learned
    modalities: tuple[str, ...]  # CT, colour, grey: looks that it learned
    cases: tuple[LearnedCase, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)  # how it was trained
    metrics: Mapping[str, Any] = field(default_factory=dict)  # what the gate measured
    provisional: bool = True  # measured by cross-validation: there were too few validation images
    accepted: bool = False  # the gate let it pass
    reasons: tuple[str, ...] = ()  # what the gate said

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` inverts it."""
        return asdict(self)

    @staticmethod
    def from_dict(plain: Any) -> Card:
        """Rebuild a card.

        Raises:
            ValueError: the values are not a card's.
        """
        if not isinstance(plain, dict):
            raise ValueError("a card is a table of names and values")
        known = {item.name for item in fields(Card)}
        missing = sorted({"name", "version", "base_sha256", "weights_sha256", "labels", "cases"} - set(plain))
        if missing or not set(plain) <= known:
            raise ValueError(f"it lacks {missing} or holds more than a card does ({sorted(set(plain) - known)})")
        tuples = {name: tuple(plain[name]) for name in ("labels", "modalities", "reasons") if name in plain}
        cases = tuple(LearnedCase(**case) for case in plain["cases"])
        return Card(**{**plain, **tuples, "cases": cases})
