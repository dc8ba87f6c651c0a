"""Adapter versions on disk: `<bank>/<name>/<version>/` with weights, card and report, and which one is published.

Everything is written beside and renamed, so that who is killed at any moment leaves what was there before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imos_engine.adapters.card import Card
from imos_engine.network.adapter_weights import AdapterWeights, load_adapter, save_adapter
from imos_engine.network.checkpoint import CheckpointError

logger = logging.getLogger(__name__)

WEIGHTS, CARD, PUBLISHED = "adapter.safetensors", "card.json", "published.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PARTIAL = re.compile(r"\..+\.(\d+)\.partial")  # what is written beside names its writer's process


class AdapterError(ValueError):
    """A version that cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AdapterVersion:
    """A version that was checked against its card and against the network it belongs to."""

    card: Card
    weights: AdapterWeights

    @property
    def identity(self) -> dict[str, Any]:
        """What a reply says of it."""
        return {"name": self.card.name, "version": self.card.version, "sha256": self.card.weights_sha256}


def checked_name(name: str) -> str:
    """The name of an adapter, which is also a folder's.

    Raises:
        AdapterError: it cannot be one.
    """
    if not NAME.fullmatch(name):
        raise AdapterError(f"an adapter cannot be named {name!r}; use small letters, digits, - and _, at most 64")
    return name


class AdapterBank:
    """The versions of a site's adapters. Reading is safe while another process writes."""

    def __init__(self, folder: Path, *, base_sha256: str) -> None:
        """`base_sha256` is the hash of the network's file, to which every version that may be used belongs."""
        self.folder = folder
        self.base_sha256 = base_sha256
        self._loaded: dict[tuple[str, int], tuple[Any, AdapterVersion]] = {}  # with the stamp of what was read

    def names(self) -> list[str]:
        """Adapters that have a folder here."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and NAME.fullmatch(path.name))

    def versions(self, name: str) -> list[int]:
        """Complete versions of an adapter, ascending."""
        folder = self.folder / checked_name(name)
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(int(path.name) for path in found if path.name.isdecimal() and (path / CARD).is_file())

    def published(self, name: str) -> int | None:
        """The version in force; None where none is."""
        return self._pointer(name)["version"]

    def card(self, name: str, version: int) -> Card:
        """What is known of a version, whether or not its weights can be used.

        Raises:
            AdapterError: there is no such version, or its card cannot be read.
        """
        path = self.path(name, version) / CARD
        if not path.is_file():
            raise AdapterError(f"adapter {name} has no version {version}; {self._known(name)}")
        try:
            card = Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, OSError) as error:
            raise AdapterError(f"the card of {name}/{version} cannot be read ({error}); train a new version") from error
        if (card.name, card.version) != (name, version):
            raise AdapterError(
                f"{path} is the card of {card.name}/{card.version}: a folder was moved; move it back, or remove it"
            )
        return card

    def cards(self, name: str) -> list[Card]:
        """What is known of an adapter's versions, ascending; a card that cannot be read is left out."""
        found = []
        for version in self.versions(name):
            try:
                found.append(self.card(name, version))
            except AdapterError as error:
                logger.info("Left out: %s", error)
        return found

    def load(self, name: str, version: int) -> AdapterVersion:
        """A version, checked.

        Raises:
            AdapterError: it is not here, half-written, changed since it was made, or made for another network.
        """
        path = self.path(name, version)
        stamp = tuple(_stamp(path / file) for file in (WEIGHTS, CARD))
        held = self._loaded.get((name, version))
        if held is not None and held[0] == stamp:
            return held[1]
        card = self.card(name, version)
        if card.base_sha256 != self.base_sha256:
            raise AdapterError(
                f"adapter {name}/{version} was made for another network (sha256 {card.base_sha256[:12]}..., in use is "
                f"{self.base_sha256[:12]}...); start the server with that network's weights, or train it anew"
            )
        try:
            if not (path / WEIGHTS).is_file() or sha256_of(path / WEIGHTS) != card.weights_sha256:
                raise AdapterError(
                    f"the weights of adapter {name}/{version} are not those that its card describes: the file is "
                    "missing, half-written or foreign; publish another version"
                )
            loaded = AdapterVersion(card=card, weights=load_adapter(path / WEIGHTS))
        except (CheckpointError, OSError) as error:
            raise AdapterError(f"adapter {name}/{version} cannot be used: {error}") from error
        self._loaded[name, version] = stamp, loaded
        return loaded

    def add(
        self, card: Card, weights: AdapterWeights, *, write_report: Callable[[Path, Card], None] | None = None
    ) -> Card:
        """Store a new version, not yet published; its number and the hash of its weights are set here.

        Args:
            card: what is known of it.
            weights: its weights.
            write_report: puts further files into the folder it is given.
        """
        home = self.folder / checked_name(card.name)
        home.mkdir(parents=True, exist_ok=True)
        sweep(home)
        beside = home / f".new.{os.getpid()}.partial"
        beside.mkdir(mode=0o700)  # its report shows patients' images
        try:
            save_adapter(beside / WEIGHTS, weights)
            number = max(self.versions(card.name), default=0) + 1
            card = replace(card, version=number, weights_sha256=sha256_of(beside / WEIGHTS))
            if write_report is not None:
                write_report(beside, card)
            write_json(beside / CARD, card.to_dict())
            beside.rename(self.path(card.name, number))
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        return card

    def publish(self, name: str, version: int) -> None:
        """Put a version in force, for requests that come from now on.

        Raises:
            AdapterError: it cannot be used.
        """
        self.load(name, version)
        pointer = self._pointer(name)
        if pointer["version"] != version:
            earlier = [*pointer["earlier"], pointer["version"]]
            write_json(self.folder / name / PUBLISHED, {"version": version, "earlier": earlier})

    def rollback(self, name: str) -> int | None:
        """Put the version before the one in force back; returns it, None where there was none before.

        Raises:
            AdapterError: nothing was ever published.
        """
        pointer = self._pointer(name)
        if not pointer["earlier"]:
            raise AdapterError(f"adapter {name} has nothing to go back to; {self._known(name)}")
        *earlier, version = pointer["earlier"]
        if version is not None:
            self.load(name, version)
        write_json(self.folder / name / PUBLISHED, {"version": version, "earlier": earlier})
        return version

    def path(self, name: str, version: int) -> Path:
        """The folder of a version."""
        return self.folder / checked_name(name) / str(version)

    def _pointer(self, name: str) -> dict[str, Any]:
        path = self.folder / checked_name(name) / PUBLISHED
        if not path.is_file():
            return {"version": None, "earlier": []}
        try:
            pointer = json.loads(path.read_text(encoding="utf-8"))
            return {"version": pointer["version"], "earlier": list(pointer["earlier"])}
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise AdapterError(f"{path} cannot be read ({error}); remove it, and publish a version") from error

    def _known(self, name: str) -> str:
        if name not in self.names():
            return f"there are adapters {', '.join(self.names()) or '(none)'}"
        return f"there are versions {', '.join(map(str, self.versions(name))) or '(none)'}"


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, values: Any) -> None:
    """Write beside, then rename: a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def sweep(home: Path) -> None:
    """Remove what writers that no longer live left half-written."""
    for path in home.iterdir():
        match = PARTIAL.fullmatch(path.name)
        if match and (int(match[1]) == os.getpid() or not _lives(int(match[1]))):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
