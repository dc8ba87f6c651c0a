"""Which adapter version serves a request: none, one by name, or the one that has learned what is marked."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from imos_engine.adapters.bank import AdapterBank, AdapterError, AdapterVersion, checked_name
from imos_engine.intensity import looks_like_ct

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AdapterChoice:
    """`none`, `auto`, `NAME` (its published version) or `NAME/VERSION`."""

    name: str | None = None  # None with automatic=False is no adapter
    version: int | None = None  # None is the published one
    automatic: bool = False

    @staticmethod
    def parse(text: str) -> AdapterChoice:
        """Read what a user wrote.

        Raises:
            AdapterError: it is none of the four.
        """
        if text in ("none", "auto"):
            return AdapterChoice(automatic=text == "auto")
        name, slash, version = text.partition("/")
        if slash and not version.isdecimal():
            raise AdapterError(f"adapter {text!r} names no version; give none, auto, NAME or NAME/VERSION, as site/3")
        return AdapterChoice(name=checked_name(name), version=int(version) if slash else None)


def choose(
    bank: AdapterBank, choice: AdapterChoice, *, labels: Collection[str], images: NDArray[Any]
) -> AdapterVersion | None:
    """The version for a request; None is the network as it is.

    Args:
        bank: where the versions lie.
        choice: what was asked for.
        labels: names of what is marked.
        images: the image, (I, J, K) or (I, J, K, 3); only `auto` looks at it.

    Raises:
        AdapterError: a version that was asked for by name cannot be used.
    """
    if choice.name is not None:
        version = bank.published(choice.name) if choice.version is None else choice.version
        if version is None:
            known = bank.versions(choice.name)
            remedy = f"ask for {choice.name}/{known[-1]}" if known else f"there are {', '.join(bank.names()) or 'none'}"
            raise AdapterError(f"adapter {choice.name} has no published version; {remedy}, or send none")
        return bank.load(choice.name, version)
    return _fitting(bank, labels, images) if choice.automatic and labels else None


def _fitting(bank: AdapterBank, labels: Collection[str], images: NDArray[Any]) -> AdapterVersion | None:
    """Of the published versions that learned this look, the one that knows most of the labels, then the newest."""
    found: list[AdapterVersion] = []
    for name in bank.names():
        try:
            version = bank.published(name)
            if version is not None and set(bank.card(name, version).labels) & set(labels):
                found.append(bank.load(name, version))
        except AdapterError as error:
            logger.warning("Left out: %s", error)
    if not found:
        return None
    look = modality_of(images)
    fitting = [one for one in found if look in one.card.modalities]
    return max(
        fitting,
        key=lambda one: (len(set(one.card.labels) & set(labels)), one.card.created, one.card.name),
        default=None,
    )


def modality_of(images: NDArray[Any]) -> str:
    """The look of an image, as far as its numbers tell: CT (Hounsfield units), colour, or grey."""
    if images.ndim == 4:
        return "colour"
    return "CT" if looks_like_ct(images) else "grey"
