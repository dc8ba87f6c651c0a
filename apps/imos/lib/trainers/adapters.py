"""`POST /train/imos`: accepted labels in, a version of an adapter out. MONAI Label runs it in a process of its own."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from imos_engine.adapters import AdapterBank, AdapterError, Card
from imos_engine.adapters.bank import sha256_of
from imos_engine.adapters.turns import SharedMachine
from imos_engine.network.checkpoint import load_network
from lib.errors import RequestError
from lib.settings import AppSettings
from lib.trainers.accepted_labels import accepted_volumes
from lib.trainers.pacing import Pacing, stand_back
from lib.trainers.request import ADVERTISED, TrainRequest, read_train_request
from lib.trainers.statistics import newest_card, statistics
from lib.trainers.tracking import track

logger = logging.getLogger(__name__)

VOXELS = ".voxels."  # folders of images and labels that a training has opened


class AdapterTrainer(TrainTask):
    """Retrains a site's adapters; what does not pass the gate stays a candidate."""

    def __init__(self, settings: AppSettings) -> None:
        super().__init__("Learn from accepted labels: adapters of the network, published only if nothing gets worse")
        self._settings = settings

    def config(self) -> dict[str, Any]:
        """What clients show as options."""
        devices = dict.fromkeys([self._settings.device, "cpu"])
        return {**ADVERTISED, "device": list(devices)}

    def stats(self) -> dict[str, Any]:
        """The newest version's figures, as Slicer shows them."""
        card = newest_card(self._settings.adapter_bank)
        return {} if card is None else statistics(card)

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train; a signal ends it after its step, and the same request goes on from there.

        Raises:
            RequestError: the request cannot be used, or there is nothing to learn from.
        """
        asked = read_train_request(request, default_device=self._settings.device)
        stand_back()
        self._settings.adapter_bank.mkdir(parents=True, exist_ok=True)
        try:
            card = self._learn(asked, datastore)
        except AdapterError as error:
            raise RequestError(str(error), status=409) from error
        track(card, self._settings.adapter_bank / card.name / str(card.version), asked)
        return statistics(card)

    def _learn(self, asked: TrainRequest, datastore: Datastore) -> Card:
        # TensorBoard and matplotlib take seconds to import, which a server that never trains need not spend.
        from imos_engine.training.accepted.learning import Learning
        from imos_engine.training.interruption import interruptible

        settings = self._settings
        base, bank = settings.weights, settings.adapter_bank
        for left in bank.glob(f"{VOXELS}*"):  # by a training that was killed
            shutil.rmtree(left, ignore_errors=True)
        in_main_thread = threading.current_thread() is threading.main_thread()
        with (
            tempfile.TemporaryDirectory(prefix=VOXELS, dir=bank) as voxels,
            interruptible() if in_main_thread else nullcontext(lambda: False) as interrupted,
        ):
            pacing = Pacing(SharedMachine(bank), interrupted=interrupted)
            card = Learning(
                base=load_network(base),
                bank=AdapterBank(bank, base_sha256=sha256_of(base)),
                name=asked.adapter,
                volumes=list(accepted_volumes(datastore, Path(voxels))),
                settings=asked.learning,
                propagation=settings.propagation,
                device=torch.device(asked.device),
                processes=processes_for(asked),
                should_stop=pacing,
            ).run()
        logger.info("Waited %.1f s for requests", pacing.waited)
        return card


def processes_for(asked: TrainRequest) -> int:
    """One per GPU that can be seen, where several may be used."""
    seen = torch.cuda.device_count() if asked.device.startswith("cuda") else 0
    if asked.multi_gpu and seen < 2:
        logger.info("multi_gpu: only one device (%s) is here to train on", asked.device)
    return seen if asked.multi_gpu and seen > 1 else 1
