"""From accepted labels to a version that serves, or to a candidate with its report."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic

import torch

from imos_engine.adapters import AdapterBank, AdapterError, AdapterVersion, Card, LearnedCase
from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.choice import modality_of
from imos_engine.adapters.gate import GateRules, judge
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.adapters.plateau import recent_gain
from imos_engine.adapters.split import FEWEST_VALIDATION, Role, SplitRegistry
from imos_engine.config import PropagationConfig
from imos_engine.network import ImosNetwork
from imos_engine.network.adapter_weights import AdapterWeights, wearing
from imos_engine.propagation import AdaptedPropagator
from imos_engine.training.accepted.clip_store import store_volume
from imos_engine.training.accepted.report import advice, write_report
from imos_engine.training.accepted.run import ClipFactory, adapt
from imos_engine.training.accepted.trial import Trial
from imos_engine.training.loop import synthetic_source
from imos_engine.training.validation import held_out_clips, mean_similarity, predicted_labels

logger = logging.getLogger(__name__)

RUNS = "runs"  # folder of what is being trained
NEW_WEIGHT = 2.0  # how often a label that the parent has not seen is drawn, against others
KNOWN_CLIPS, KNOWN_FRAMES, KNOWN_SIZE, KNOWN_SEED = 6, 6, 96, 770_001  # random sequences that show what was known


class LearningStoppedError(AdapterError):
    """Somebody asked the training to stop; its run can be resumed."""


@dataclass(kw_only=True)
class Learning:
    """One retraining of one adapter."""

    base: ImosNetwork  # the network in force, without adapters
    bank: AdapterBank
    name: str  # of the adapter
    volumes: Sequence[AcceptedVolume]  # every accepted label, identified
    settings: LearningSettings = field(default_factory=LearningSettings)
    rules: GateRules = field(default_factory=GateRules)
    propagation: PropagationConfig = field(default_factory=PropagationConfig)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: int = 1  # that train together; on GPUs each has one of its own
    should_stop: Callable[[], bool] = lambda: False  # asked after every step

    def run(self) -> Card:
        """Train, measure, store, and publish if the gate lets it pass; returns the new version's card.

        Raises:
            AdapterError: there is nothing to learn from.
            LearningStoppedError: `should_stop` said so; what is in force stays.
        """
        started = monotonic()
        training, validation = self._split()
        provisional = len(validation) < FEWEST_VALIDATION
        folder = self._folder(training, validation)
        # What is measured by cross-validation begins as its folds do: fresh, for the parent has seen their images.
        parent = None if provisional else self._parent
        trial = Trial(propagator=self._propagator, in_force=self._parent, look_up=self._refuse_if_stopped)
        if provisional:
            self._cross_validate([*training, *validation], folder, trial)
        logger.info("Training on %d labelled images", len(training))
        weights = self._adapted(training, validation, folder / "final", parent=parent)
        if not provisional:
            logger.info("Measuring on %d images that validate", len(validation))
            trial.compare(validation, weights)
        verdict = judge(trial.pairs, known_looks=self._known_looks(weights), rules=self.rules)
        metrics = {**verdict.to_dict(), "pairs": trial.to_dict()}
        card = self._card(training, validation, parent=parent, provisional=provisional)
        card = replace(card, metrics=metrics, accepted=verdict.passes, reasons=verdict.reasons)
        gain = recent_gain([*self.bank.cards(self.name), card])
        told = {
            "seconds": round(monotonic() - started, 1),
            "devices": self.processes,
            "advice": advice(card, verdict, gain),
        }
        card = self.bank.add(
            replace(card, metrics={**metrics, **told, "recent_gain": None if gain is None else gain.to_dict()}),
            weights,
            write_report=lambda beside, card: write_report(
                beside, card, verdict, run=folder / "final", changes=trial.changes
            ),
        )
        if verdict.passes:
            self.bank.publish(self.name, card.version)
        logger.info("%s/%d: %s", self.name, card.version, verdict.reasons[0])
        shutil.rmtree(folder, ignore_errors=True)
        return card

    @cached_property
    def _parent(self) -> AdapterVersion | None:
        version = self.bank.published(self.name)
        try:
            return None if version is None else self.bank.load(self.name, version)
        except AdapterError as error:
            logger.warning("Beginning anew: %s", error)
            return None

    @cached_property
    def _propagator(self) -> AdaptedPropagator:
        return AdaptedPropagator(self.base, settings=self.propagation, device=self.device)

    def _split(self) -> tuple[list[AcceptedVolume], list[AcceptedVolume]]:
        unique = {volume.image_sha256: volume for volume in self.volumes if volume.present}
        if not unique:
            raise AdapterError("no accepted label to learn from; save a label as final first")
        registry = SplitRegistry(self.bank.folder / self.name)
        registry.assign({sha256: tuple(volume.present.values()) for sha256, volume in unique.items()})
        roles = {role: [v for sha256, v in unique.items() if registry.role(sha256) is role] for role in Role}
        if not roles[Role.TRAINING]:
            raise AdapterError("every accepted label belongs to an image that validates; accept one on another image")
        return roles[Role.TRAINING], roles[Role.VALIDATION]

    def _folder(self, training: Sequence[AcceptedVolume], validation: Sequence[AcceptedVolume]) -> Path:
        """Where this very run lies, begun or not; what other runs left is removed."""
        parent = None if self._parent is None else self._parent.card.weights_sha256
        told = [self.bank.base_sha256, parent, asdict(self.settings)]
        cases = [[(v.image_sha256, v.label_sha256) for v in part] for part in (training, validation)]
        fingerprint = hashlib.sha256(json.dumps([told, cases]).encode()).hexdigest()[:16]
        runs = self.bank.folder / self.name / RUNS
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds voxels of patients while a run lasts
        for other in runs.iterdir():
            if other.name != fingerprint:
                shutil.rmtree(other, ignore_errors=True)
        return runs / fingerprint

    def _adapted(
        self,
        training: Sequence[AcceptedVolume],
        validation: Sequence[AcceptedVolume],
        folder: Path,
        *,
        parent: AdapterVersion | None,
    ) -> AdapterWeights:
        seen = set() if parent is None else {case.label_sha256 for case in parent.card.cases}
        stored: dict[str, tuple[Path, ...]] = {}
        for part, volumes in (("training", training), ("validation", validation)):
            paths = [folder / part / str(number) for number in range(len(volumes))]
            for volume, path in zip(volumes, paths, strict=True):
                store_volume(volume, path, weight=1.0 if volume.label_sha256 in seen or not seen else NEW_WEIGHT)
            stored[part] = tuple(paths)
        weights = adapt(
            self.base,
            ClipFactory(stored["training"], stored["validation"], self.settings.replay),
            self.settings,
            folder=folder,
            parent=None if parent is None else parent.weights,
            device=self.device,
            processes=self.processes,
            should_stop=self.should_stop,
        )
        self._refuse_if_stopped()
        return weights

    def _cross_validate(self, volumes: Sequence[AcceptedVolume], folder: Path, trial: Trial) -> None:
        """Every image measured by adapters that did not learn from it."""
        pieces = list(volumes[0].halves()) if len(volumes) == 1 else list(volumes)
        for fold in range(2):
            held_out = pieces[fold::2]
            others = [piece for piece in pieces if not any(piece is one for one in held_out) and piece.present]
            if not others:
                continue
            logger.info("Cross-validation, part %d of 2", fold + 1)
            weights = self._adapted(others, [], folder / f"fold_{fold}", parent=None)
            trial.compare(held_out, weights)

    def _known_looks(self, weights: AdapterWeights) -> tuple[float, float] | None:
        """J on random sequences without the adapters and with them; None where there is nothing in them to follow."""
        made = synthetic_source(frames=KNOWN_FRAMES, size=KNOWN_SIZE, seed=KNOWN_SEED)
        clips = held_out_clips(made, KNOWN_CLIPS)
        scores = []
        for network in (self.base, wearing(self.base, weights)):
            self._refuse_if_stopped()
            labels = predicted_labels(network.to(self.device), clips, write_every=3, top_k=30, device=self.device)
            scores.append(mean_similarity(clips, labels))
        return None if any(map(math.isnan, scores)) else (scores[0], scores[1])

    def _card(
        self,
        training: Sequence[AcceptedVolume],
        validation: Sequence[AcceptedVolume],
        *,
        parent: AdapterVersion | None,
        provisional: bool,
    ) -> Card:
        cases = [
            LearnedCase(image_sha256=volume.image_sha256, label_sha256=volume.label_sha256, role=role.value)
            for role, volumes in ((Role.TRAINING, training), (Role.VALIDATION, validation))
            for volume in volumes
        ]
        return Card(
            name=self.name,
            version=0,
            parent=None if parent is None else parent.card.version,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            base_sha256=self.bank.base_sha256,
            weights_sha256="",
            labels=tuple(sorted({name for volume in training for name in volume.present.values()})),
            modalities=tuple(sorted({modality_of(volume.images) for volume in training})),
            cases=tuple(cases),
            settings=asdict(self.settings),
            provisional=provisional,
        )

    def _refuse_if_stopped(self) -> None:
        if self.should_stop():
            raise LearningStoppedError(f"the training of {self.name} was stopped; the same request goes on from there")
