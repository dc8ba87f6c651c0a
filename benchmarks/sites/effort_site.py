"""A site in one process: volumes with two structures among them, and an annotator who knows the truth.

The same volume under the same weights is the same work, and the same history leads to the same weights: both are
computed once, whichever strategy asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.sites.hard_look import LEVEL, SCALE, through_focus_volume
from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.config import PropagationConfig
from imos_engine.metrics import dice, largest_frame
from imos_engine.network.adapter_weights import AdapterWeights
from imos_engine.propagation.next_slice import CarriedObject, next_frame

Mask = NDArray[np.bool_]
History = tuple[frozenset[str], ...]  # names of the volumes that were accepted at each training so far

COMMON, RARE = "cell", "nucleus"  # the label of the hard look, and of a plain one
AXIS = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much a site holds and how it works."""

    common: int = 3  # volumes of each kind to annotate
    rare: int = 2
    held_out: tuple[int, int] = (1, 1)  # further volumes of each kind, which validate
    shape: tuple[int, int, int] = (96, 96, 12)
    train_after: tuple[int, ...] = (1,)  # accepted volumes
    enough: float = 0.90  # Dice of a volume that the annotator accepts
    most_slices: int = 8  # of one volume; the annotator gives up looking for more
    learning: LearningSettings = field(
        default_factory=lambda: LearningSettings(steps=30, frames=3, batch=1, replay=0.25)
    )
    propagation: PropagationConfig = field(default_factory=lambda: PropagationConfig(size=96))


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One volume with its truth."""

    name: str
    label: str
    image: NDArray[np.int16]  # (I, J, K), slices across the last axis
    mask: Mask  # (I, J, K)

    @property
    def frames(self) -> NDArray[np.int16]:
        """Slices (T, H, W)."""
        return np.moveaxis(self.image, AXIS, 0)

    @property
    def truth(self) -> Mask:
        """The structure on them, (T, H, W)."""
        return np.moveaxis(self.mask, AXIS, 0)

    def accepted(self, changed: Mask | None = None) -> AcceptedVolume:
        """What training sees of it; `changed` (T, H, W) is where a proposal was wrong."""
        moved = None if changed is None else np.moveaxis(changed, 0, AXIS)
        volume = AcceptedVolume(
            images=self.image,
            labels=self.mask.astype(np.uint8),
            names={1: self.label},
            axis=AXIS,
            axes=(AXIS,),
            changed=moved,
        )
        return volume.identified()


@dataclass(frozen=True, kw_only=True, eq=False)
class Version:
    """Adapters, or none."""

    identity: str  # of the weights; the same for a training that the gate refused as before it
    weights: AdapterWeights | None = None
    bank: Path | None = None


UNTRAINED = Version(identity="none")


@dataclass(frozen=True, kw_only=True, eq=False)
class Carried:
    """A volume after its annotated slices were carried through."""

    mask: Mask  # (T, H, W)
    confidence: Mapping[int, float]  # by slice, 0 to 1


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a volume cost."""

    slices: tuple[int, ...]  # that were annotated, in this order
    dice: tuple[float, ...]  # of the volume after each


Carry = Callable[[Case, Sequence[int], Version], Carried]


class Learn(Protocol):
    """Trains on accepted volumes; the parent again if the gate refuses what came of it."""

    def __call__(self, volumes: Sequence[AcceptedVolume], parent: Version) -> Version: ...


class Site:
    """One pool of volumes, the work on them and what is learned from them."""

    def __init__(self, cases: Sequence[Case], plan: Plan, *, carry: Carry, learn: Learn) -> None:
        self.cases = {case.name: case for case in cases}
        self.plan = plan
        self._carry, self._learn = carry, learn
        self._proposals: dict[tuple[str, str], Carried] = {}
        self._work: dict[tuple[str, str], Work] = {}
        self._versions: dict[History, Version] = {}

    def proposal(self, name: str, version: Version) -> Carried:
        """The volume after its first slice, the one on which the structure is largest."""
        key = name, version.identity
        if key not in self._proposals:
            case = self.cases[name]
            self._proposals[key] = self._carry(case, [largest_frame(case.truth)], version)
        return self._proposals[key]

    def work(self, name: str, version: Version) -> Work:
        """What it takes until the volume is right enough."""
        key = name, version.identity
        if key not in self._work:
            case = self.cases[name]
            self._work[key] = annotate(
                case.truth,
                self.proposal(name, version),
                lambda slices: self._carry(case, slices, version),
                enough=self.plan.enough,
                most=self.plan.most_slices,
            )
        return self._work[key]

    def version(self, history: History) -> Version:
        """What is in force after these trainings."""
        if not history:
            return UNTRAINED
        if history not in self._versions:
            parent = self.version(history[:-1])
            volumes = [
                self.cases[name].accepted(self.proposal(name, UNTRAINED).mask != self.cases[name].truth)
                for name in sorted(history[-1])
            ]
            self._versions[history] = self._learn(volumes, parent)
        return self._versions[history]


def annotate(
    truth: Mask, proposal: Carried, carry: Callable[[Sequence[int]], Carried], *, enough: float, most: int
) -> Work:
    """Correct the slice that the engine suggests, again and again, until the volume is right enough.

    Shapes: truth (T, H, W). Where nothing is suggested any more, the slice with most wrong pixels is corrected.
    """
    found, slices = proposal, [largest_frame(truth)]
    scores = [dice(found.mask, truth)]
    while scores[-1] < enough and len(slices) < min(most, len(truth)):
        areas = {index: int(np.count_nonzero(found.mask[index])) for index in found.confidence}
        suggested = next_frame(CarriedObject(areas=areas, confidence=found.confidence, given=slices))
        wrong = np.count_nonzero(found.mask != truth, axis=(1, 2))
        slices.append(int(wrong.argmax()) if suggested is None else suggested.frame)
        found = carry(slices)
        scores.append(dice(found.mask, truth))
    return Work(slices=tuple(slices), dice=tuple(scores))


def made_cases(plan: Plan, seed: int) -> tuple[list[Case], list[Case]]:
    """The pool, its kinds mixed over names that say nothing, and the volumes that validate."""
    random = np.random.default_rng(seed)
    kinds = random.permutation([COMMON] * plan.common + [RARE] * plan.rare)
    numbers = iter(range(1000 * seed, 1000 * (seed + 1)))
    pool = [_case(f"case_{place}", str(kind), next(numbers), plan) for place, kind in enumerate(kinds)]
    further = [COMMON] * plan.held_out[0] + [RARE] * plan.held_out[1]
    return pool, [_case(f"held_out_{place}", kind, next(numbers), plan) for place, kind in enumerate(further)]


def _case(name: str, label: str, seed: int, plan: Plan) -> Case:
    image, mask = through_focus_volume(seed, shape=plan.shape)
    if label == RARE:
        random = np.random.default_rng([seed, 1])
        grain = random.standard_normal(image.shape)
        shown = gaussian_filter(mask.astype(float), (1.0, 1.0, 0.0)) + 0.35 * grain
        image = (shown * SCALE + LEVEL).astype(np.int16)
    return Case(name=name, label=label, image=image, mask=mask > 0)
