"""The engine as a simulated site uses it: carrying slices with a version's adapters, and training the next version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.sites.effort_site import UNTRAINED, Carried, Case, Plan, Version
from imos_engine.adapters import AdapterBank
from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.bank import sha256_of
from imos_engine.adapters.gate import GateRules
from imos_engine.adapters.split import REGISTRY, Role
from imos_engine.config import PropagationConfig
from imos_engine.network.checkpoint import load_network
from imos_engine.propagation import AdaptedPropagator
from imos_engine.sequence import FrameSequence, Seed
from imos_engine.training.accepted.learning import Learning

ADAPTER = "site"


class NetworkCarry:
    """The engine with the adapters of a version."""

    def __init__(self, weights: Path, settings: PropagationConfig) -> None:
        self._propagator = AdaptedPropagator(load_network(weights), settings=settings)

    def __call__(self, case: Case, slices: Sequence[int], version: Version) -> Carried:
        """Carry the true masks of some slices through all others."""
        self._propagator.wear(version.weights, identity=version.identity)
        masks = case.truth.astype(np.uint8)
        seeds = [Seed(index=index, labels=masks[index], objects=frozenset({1})) for index in slices]
        mask, confidence = np.zeros_like(case.truth), {}
        for result in self._propagator.propagate(FrameSequence.under(case.frames, seeds), seeds):
            mask[result.index] = result.labels == 1
            confidence[result.index] = float(result.confidence[1])
        return Carried(mask=mask, confidence=confidence)


class BankLearn:
    """The trainer's own way from accepted labels to a version, gate included, in a bank per history."""

    def __init__(
        self,
        weights: Path,
        plan: Plan,
        folder: Path,
        *,
        pool: Sequence[Case],
        held_out: Sequence[Case],
        rules: GateRules | None = None,
    ) -> None:
        """`held_out` only ever validates, and the pool only trains: so a training is one run, not three."""
        self._weights, self._plan, self._folder, self._rules = weights, plan, folder, rules or GateRules()
        self._base_sha256 = sha256_of(weights)
        self._held_out = [case.accepted() for case in held_out]
        roles = {case.accepted().image_sha256: (Role.TRAINING, case.label) for case in pool}
        roles |= {case.accepted().image_sha256: (Role.VALIDATION, case.label) for case in held_out}
        self._roles = {sha: {"role": role.value, "labels": [label]} for sha, (role, label) in roles.items()}
        self.told: list[dict[str, Any]] = []  # of each training

    def __call__(self, volumes: Sequence[AcceptedVolume], parent: Version) -> Version:
        """Train from the parent's weights; what the gate refuses is not in force."""
        folder = self._folder / str(len(self.told))
        if parent.bank is None:
            (folder / ADAPTER).mkdir(parents=True)
            (folder / ADAPTER / REGISTRY).write_text(json.dumps({"images": self._roles}))
        else:
            shutil.copytree(parent.bank, folder)
        bank = AdapterBank(folder, base_sha256=self._base_sha256)
        card = Learning(
            base=load_network(self._weights),
            bank=bank,
            name=ADAPTER,
            volumes=[*volumes, *self._held_out],
            settings=self._plan.learning,
            rules=self._rules,
            propagation=self._plan.propagation,
            device=torch.device("cpu"),
        ).run()
        overall = card.metrics["overall"]
        self.told.append(
            {
                "volumes": len(volumes),
                "published": card.accepted,
                "reason": card.reasons[0],
                "before": overall["before"],
                "after": overall["after"],
                "seconds": card.metrics["seconds"],
            }
        )
        number = bank.published(ADAPTER)
        if number is None:
            return Version(identity=UNTRAINED.identity, bank=folder)
        loaded = bank.load(ADAPTER, number)
        return Version(identity=loaded.card.weights_sha256, weights=loaded.weights, bank=folder)
