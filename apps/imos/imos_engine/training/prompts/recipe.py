"""What a training run of the prompt network is. Recipes are TOML files."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from imos_engine.prompts.prompt_network import PromptNetworkConfig
from imos_engine.synthesis import SynthesisConfig


@dataclass(frozen=True, kw_only=True)
class PromptValidation:
    """Held-out examples."""

    every: int = 200  # steps between two validations
    batches: int = 6
    seed: int = 990_002  # of the generator; training must use another


@dataclass(frozen=True, kw_only=True)
class PromptTraining:
    """A whole run, given in steps (repeatable bit by bit) or in minutes (ends on time), never in both."""

    steps: int | None = None  # optimizer steps
    minutes: float | None = None  # wall clock, pauses between two runs left out
    seed: int = 0  # of weights and examples
    batch: int = 16  # examples per step
    per_clip: int = 4  # examples from one random clip
    slice_size: int = 192  # pixels along each side of a random slice
    shares: tuple[float, ...] = SynthesisConfig.shares  # of the modalities among random slices
    learning_rate: tuple[float, float] = (1e-3, 1e-6)  # at start and end
    warm_up: float = 0.02  # share of the run
    weight_decay: float = 0.01
    clip_gradient_norm: float = 5.0
    average_decay: float = 0.998  # of the exponential moving average of the weights
    second_look_every: int = 2  # steps; on these the network corrects its own answers
    bfloat16: bool = True  # convolutions in bfloat16
    checkpoint_every: int = 100  # steps
    log_every: int = 20  # steps
    workers: int = 0  # processes that make examples; 0 makes them in this one
    network: PromptNetworkConfig = field(default_factory=PromptNetworkConfig)
    validation: PromptValidation = field(default_factory=PromptValidation)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("a run needs either steps or minutes; give exactly one of them")
        if (self.steps if self.steps is not None else self.minutes or 0) <= 0:
            raise ValueError(f"a run must be longer than nothing, got steps={self.steps}, minutes={self.minutes}")
        intervals = self.second_look_every, self.checkpoint_every, self.log_every, self.validation.every
        if min(self.batch, self.per_clip, *intervals) < 1:
            raise ValueError("batch, per_clip and all intervals must be at least 1")
        if min(self.learning_rate) < 0 or not 0 <= self.warm_up < 1 or not 0 <= self.average_decay < 1:
            raise ValueError("learning rates must be positive, warm_up and average_decay in [0, 1)")
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, got {self.workers}")
        if self.validation.seed == self.seed:
            raise ValueError(f"validation.seed must differ from seed, both are {self.seed}")

    def lasting(self, minutes: float) -> PromptTraining:
        """The same run in `minutes` of wall clock."""
        return replace(self, steps=None, minutes=minutes)

    def progress(self, step: int, minutes: float) -> float:
        """Share of the run that is done, in [0, 1]."""
        return min(1.0, step / self.steps if self.steps is not None else minutes / (self.minutes or 1.0))

    def learning_rate_at(self, done: float) -> float:
        """Linear warm-up from zero, then a half cosine from the first to the second learning rate."""
        start, end = self.learning_rate
        rise = min(1.0, (done + 1e-3) / self.warm_up) if self.warm_up else 1.0
        return rise * (end + (start - end) * (1 + math.cos(math.pi * done)) / 2)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `prompt_training_from_dict` and JSON take them."""
        return asdict(self)


def prompt_training_from_dict(plain: Mapping[str, Any]) -> PromptTraining:
    """A run from plain values (TOML, JSON); an unknown name is refused."""
    values = dict(plain)
    _check_names(PromptTraining, values)
    if "network" in values:
        _check_names(PromptNetworkConfig, values["network"])
        network = dict(values["network"])
        if "filters" in network:
            network["filters"] = tuple(network["filters"])
        values["network"] = PromptNetworkConfig(**network)
    if "validation" in values:
        _check_names(PromptValidation, values["validation"])
        values["validation"] = PromptValidation(**values["validation"])
    for name in ("learning_rate", "shares"):
        if name in values:
            values[name] = tuple(values[name])
    return PromptTraining(**values)


def read_prompt_recipe(path: Path) -> PromptTraining:
    """The run that a TOML recipe file describes."""
    with path.open("rb") as file:
        return prompt_training_from_dict(tomllib.load(file))


def _check_names(target: type, values: Mapping[str, Any]) -> None:
    known = {item.name for item in fields(target)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{target.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
