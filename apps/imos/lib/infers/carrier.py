"""The network of this server, and whose turn it is to use it."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from imos_engine.config import NetworkConfig
from imos_engine.network.checkpoint import load_network
from imos_engine.prompts import classical_solver, learned_solver
from imos_engine.propagation import FeatureCache, Propagator
from lib.errors import RequestError
from lib.infers.recent_replies import RecentReplies
from lib.settings import AppSettings

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499  # no client reads it; it is for the log


class Carrier:
    """Loads the weights once, and lets one request at a time compute with them.

    Two propagations at once would halve each other's speed and double the memory, so requests wait in line.
    """

    def __init__(self, settings: AppSettings) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.settings = settings
        self.identity = {"name": settings.weights.stem, "version": None, "sha256": _sha256(settings.weights)}
        self._network = load_network(settings.weights)
        self.solve = learned_solver(settings.prompts) if settings.prompts else classical_solver
        self.replies = RecentReplies()
        self._features = FeatureCache(settings.propagation.feature_cache_bytes)
        self._propagators: dict[str, Propagator] = {}
        self._busy = threading.Lock()
        logger.info("Loaded %s (sha256 %s)", settings.weights, self.identity["sha256"])

    @property
    def config(self) -> NetworkConfig:
        """Shape of the network in use."""
        return self._network.config

    @contextmanager
    def turn(self, client_gone: threading.Event) -> Iterator[None]:
        """Wait until no other request computes.

        Raises:
            RequestError: the client left while waiting.
        """
        while not self._busy.acquire(timeout=0.2):
            refuse_if_gone(client_gone)
        try:
            refuse_if_gone(client_gone)
            yield
        finally:
            self._busy.release()

    def propagator(self, device: str) -> Propagator:
        """The network, ready on a device; to be used within a turn."""
        if device not in self._propagators:
            self._propagators[device] = Propagator(
                self._network, settings=self.settings.propagation, device=device, features=self._features
            )
        return self._propagators[device]


def refuse_if_gone(client_gone: threading.Event) -> None:
    """Stop working for a client that closed its connection."""
    if client_gone.is_set():
        raise RequestError("the client closed the connection; nothing was computed", status=CLIENT_CLOSED_REQUEST)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
