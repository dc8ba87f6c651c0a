"""The network of this server, and whose turn it is to use it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from imos_engine.adapters import AdapterBank, AdapterError
from imos_engine.adapters.bank import sha256_of
from imos_engine.adapters.choice import AdapterChoice, choose
from imos_engine.adapters.turns import SharedMachine
from imos_engine.config import NetworkConfig
from imos_engine.network.checkpoint import CheckpointError, load_network
from imos_engine.prompts import classical_solver, learned_solver
from imos_engine.propagation import AdaptedPropagator, FeatureCache
from imos_engine.volume_file import Volume
from lib.calls import Call
from lib.errors import RequestError
from lib.infers.request import InferRequest
from lib.sessions.identity import ImageIdentities, client_identity
from lib.sessions.journal import Journal
from lib.sessions.store import SessionStore
from lib.settings import AppSettings, ConfError
from lib.transforms.volumes import image_stamp

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499  # no client reads it; it is for the log
NO_ADAPTER = {"name": "none", "version": None, "sha256": None}


class Carrier:
    """Loads the weights once, and lets one request at a time compute with them.

    Two propagations at once would halve each other's speed and double the memory, so requests wait in line.
    """

    def __init__(self, settings: AppSettings) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.settings = settings
        self.identity = {"name": settings.weights.stem, "version": None, "sha256": sha256_of(settings.weights)}
        self._network = load_network(settings.weights)
        self.solve = learned_solver(settings.prompts) if settings.prompts else classical_solver
        self._sessions = _opened(settings.sessions)
        self._images = ImageIdentities()
        self._features = FeatureCache(settings.propagation.feature_cache_bytes)
        self._propagators: dict[str, AdaptedPropagator] = {}
        self._bank = AdapterBank(settings.adapter_bank, base_sha256=str(self.identity["sha256"]))
        self._machine = SharedMachine(settings.adapter_bank)
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
            with self._machine.serving():
                yield
        finally:
            self._busy.release()

    @property
    def adapters(self) -> list[str]:
        """What clients may choose from, the server's own choice first; a version is NAME/VERSION."""
        return list(dict.fromkeys([self.settings.adapter, "auto", "none", *self._bank.names()]))

    def propagator(self, device: str) -> AdaptedPropagator:
        """The network, ready on a device; to be used within a turn."""
        if device not in self._propagators:
            self._propagators[device] = AdaptedPropagator(
                self._network, settings=self.settings.propagation, device=device, features=self._features
            )
        return self._propagators[device]

    def journal(self, request: InferRequest, image: Volume, call: Call) -> Journal | None:
        """The session of a request; None for a client that cannot be told from others, or an image that came along."""
        client = client_identity(
            request.client, address=call.address, browser=call.browser, in_session=call.uses_session
        )
        if not client or call.uploads_image:
            return None
        identity = self._images.identity(request.image, image_stamp(request.image), image.array, image.affine)
        return self._sessions.journal(image=identity, client=client)

    def wear(
        self, asked: str | None, *, device: str, labels: Collection[str], images: npt.NDArray[Any]
    ) -> dict[str, Any]:
        """Put on the adapter version for a request, within its turn; returns what the reply says of it.

        Args:
            asked: what the client chose; None is the server's choice.
            device: where the request computes.
            labels: names of what is marked.
            images: the image, stored values.

        Raises:
            RequestError: the version cannot be used.
        """
        try:
            choice = AdapterChoice.parse(asked or self.settings.adapter)
            version = choose(self._bank, choice, labels=labels, images=images)
            weights = None if version is None else version.weights
            identity = dict(NO_ADAPTER) if version is None else version.identity
            self.propagator(device).wear(weights, identity=identity["sha256"])
        except (AdapterError, CheckpointError) as error:
            raise RequestError(str(error)) from error
        return identity


def _opened(folder: Path) -> SessionStore:
    """The sessions in a folder.

    Raises:
        ConfError: nothing can be kept there.
    """
    store = SessionStore(folder)
    try:
        store.open()
    except OSError as error:
        raise ConfError(
            f"sessions cannot be kept in {folder} ({error.strerror}); give another folder by --conf sessions"
        ) from error
    return store


def refuse_if_gone(client_gone: threading.Event) -> None:
    """Stop working for a client that closed its connection."""
    if client_gone.is_set():
        raise RequestError("the client closed the connection; nothing was computed", status=CLIENT_CLOSED_REQUEST)
