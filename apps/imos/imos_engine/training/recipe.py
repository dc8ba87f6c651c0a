"""What a training run is: its phases, its optimizer and what it writes when. Recipes are TOML files."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from imos_engine.config import PRESETS, Precision


class Trainable(Enum):
    """Which parameters the optimizer may move."""

    EVERYTHING = "everything"
    DECODER = "decoder"
    ADAPTERS = "adapters"
    ADAPTERS_AND_DECODER = "adapters+decoder"
    ADAPTERS_AND_REFINER = "adapters+refiner"
    ADAPTERS_DECODER_AND_REFINER = "adapters+decoder+refiner"
    REFINER = "refiner"

    def covers(self, parameter_name: str) -> bool:
        """Whether the parameter of this (dotted) name is trained."""
        if self is Trainable.EVERYTHING:
            return True
        parts = parameter_name.split(".")
        part = "adapters" if "adapter" in parts else parts[0]
        return part in self.value.split("+")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of the run with clips of one shape. Its length is given in steps or in minutes, never in both.

    Within a phase the learning rate rises linearly during `warm_up`, then falls from its start to its end along a
    cosine of the phase's progress. A phase in minutes therefore ends on time and with a decayed learning rate on a
    machine of any speed, but only a phase in steps can be repeated bit by bit.
    """

    steps: int | None = None  # optimizer steps
    minutes: float | None = None  # wall-clock minutes, pauses between two runs left out
    frames: int = 3  # frames of a clip, the seed included
    size: int = 128  # pixels, height and width of a frame; a multiple of 16
    batch: int = 8  # clips per forward pass
    accumulate: int = 1  # forward passes per optimizer step
    max_objects: int = 3  # objects followed per clip
    reference_frames: int = 2  # most earlier frames that one frame reads, the seed included
    learning_rate: tuple[float, float] = (4e-4, 4e-5)  # at start and end of the phase
    warm_up: float = 0.02  # share of the phase
    hardest_pixels: tuple[float, float] = (1.0, 1.0)  # share of pixels in the cross-entropy, at start and end
    trainable: Trainable | None = None  # what moves in this phase; None: what moves in the run
    source: Mapping[str, Any] = field(default_factory=dict)  # further settings of what makes the clips

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("a phase needs either steps or minutes; give exactly one of them")
        if (self.steps if self.steps is not None else self.minutes or 0) <= 0:
            raise ValueError(f"a phase must be longer than nothing, got steps={self.steps}, minutes={self.minutes}")
        if self.frames < 2 or self.reference_frames < 1:
            raise ValueError(f"a clip needs 2 frames and 1 reference, got {self.frames} and {self.reference_frames}")
        if self.size < 32 or self.size % 16:
            raise ValueError(f"size must be a multiple of 16 pixels and at least 32, got {self.size}")
        if min(self.batch, self.accumulate, self.max_objects) < 1:
            raise ValueError(f"batch, accumulate and max_objects must be at least 1, got {self}")
        if min(self.learning_rate) < 0 or not 0 <= self.warm_up < 1:
            raise ValueError(f"learning rates must be positive and warm_up below 1, got {self}")
        if not all(0 < share <= 1 for share in self.hardest_pixels):
            raise ValueError(f"hardest_pixels are shares above 0 and at most 1, got {self.hardest_pixels}")


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """Held-out clips, longer than those trained on."""

    every: int = 250  # steps between two validations
    clips: int = 8
    frames: int = 12
    size: int = 128  # pixels
    seed: int = 990_001  # of the generator; training must use another
    write_every: int = 4  # frames between two memory frames
    source: Mapping[str, Any] = field(default_factory=dict)  # further settings of what makes the clips


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A whole training run, except for the clips' origin, the device and the paths."""

    phases: tuple[Phase, ...]
    network: str = "small"  # preset to start from
    seed: int = 0  # of weights, clips and every random choice
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    trainable: Trainable = Trainable.EVERYTHING  # in phases that do not say otherwise
    freeze_batch_norm: bool = False  # keep running statistics, except inside adapters
    refiner_rate: float = 1.0  # learning rate of the refiner over that of all else
    restrained: bool = False  # the refiner restrains itself while it learns as it will at inference
    precision: Precision = Precision.BFLOAT16  # of the convolutions; similarities and losses are float32
    gradient_checkpointing: bool = False  # compute again what gradients need: less memory, more time
    weight_decay: float = 0.05
    clip_gradient_norm: float = 1.0
    average_decay: float = 0.998  # of the exponential moving average of the weights
    deep_update_probability: float = 0.2  # per frame
    top_k: int | None = 30  # memory pixels each query pixel reads; None reads all
    checkpoint_every: int = 100  # steps
    keep_snapshots: int | None = None  # steps between two copies of the averaged weights that are kept; None: no copies
    log_every: int = 20  # steps
    workers: int = 1  # processes that produce clips; 0 produces them in this one

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("a recipe needs at least one phase")
        if self.network not in PRESETS:
            raise ValueError(f"there is no network preset {self.network!r}; there are {', '.join(PRESETS)}")
        if self.validation.seed == self.seed:
            raise ValueError(f"validation.seed must differ from seed, both are {self.seed}")
        if not 0 <= self.deep_update_probability <= 1 or not 0 <= self.average_decay < 1:
            raise ValueError("deep_update_probability must lie in [0, 1] and average_decay in [0, 1)")
        snapshots = 1 if self.keep_snapshots is None else self.keep_snapshots
        intervals = self.validation.every, self.checkpoint_every, self.log_every, snapshots
        if min(intervals) < 1 or self.workers < 0:
            raise ValueError(
                "the intervals of validation, checkpoint, log and snapshots must be at least 1 step, workers 0 or more"
            )

    def trainable_in(self, phase: Phase) -> Trainable:
        """What moves in this phase."""
        return phase.trainable or self.trainable

    def moves(self, parameter_name: str) -> bool:
        """Whether any phase trains the parameter of this (dotted) name."""
        return any(self.trainable_in(phase).covers(parameter_name) for phase in self.phases)

    def lasting(self, minutes: float) -> "TrainingConfig":
        """The same run in `minutes` of wall clock, shared among the phases as their own minutes are."""
        if any(phase.minutes is None for phase in self.phases):
            raise ValueError("only a recipe whose phases are all in minutes can be given another duration")
        total = sum(phase.minutes or 0.0 for phase in self.phases)
        shares = [(phase.minutes or 0.0) / total for phase in self.phases]
        phases = (replace(phase, minutes=minutes * share) for phase, share in zip(self.phases, shares, strict=True))
        return replace(self, phases=tuple(phases))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `config_from_dict` and JSON take them."""
        plain = asdict(self)
        phases = [one | {"trainable": one["trainable"] and one["trainable"].value} for one in plain["phases"]]
        return plain | {"trainable": self.trainable.value, "precision": self.precision.value, "phases": phases}


def config_from_dict(plain: Mapping[str, Any]) -> TrainingConfig:
    """A config from plain values (TOML, JSON); an unknown name is refused."""
    values = dict(plain)
    _check_names(TrainingConfig, values)
    values["phases"] = tuple(_phase(phase) for phase in values.get("phases", ()))
    if "validation" in values:
        _check_names(ValidationConfig, values["validation"])
        values["validation"] = ValidationConfig(**values["validation"])
    if "trainable" in values:
        values["trainable"] = _trainable(values["trainable"])
    if "precision" in values:
        values["precision"] = Precision(values["precision"])
    if values.get("top_k") == "all":  # TOML has no null
        values["top_k"] = None
    return TrainingConfig(**values)


def read_recipe(path: Path) -> TrainingConfig:
    """The run that a TOML recipe file describes."""
    with path.open("rb") as file:
        return config_from_dict(tomllib.load(file))


def _phase(plain: Mapping[str, Any]) -> Phase:
    _check_names(Phase, plain)
    values = {**plain, **{name: tuple(plain[name]) for name in ("learning_rate", "hardest_pixels") if name in plain}}
    if values.get("trainable") is not None:
        values["trainable"] = _trainable(values["trainable"])
    return Phase(**values)


def _trainable(name: str) -> Trainable:
    known = [choice.value for choice in Trainable]
    if name not in known:
        raise ValueError(f"trainable cannot be {name!r}; give one of {', '.join(known)}")
    return Trainable(name)


def _check_names(target: type, values: Mapping[str, Any]) -> None:
    known = {item.name for item in fields(target)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{target.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
