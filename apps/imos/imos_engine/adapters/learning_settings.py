"""How a retraining learns. Apart from the training itself, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """How a retraining learns; what is None is sized to the number of labels."""

    steps: int | None = None  # optimizer steps
    decoder: bool = False  # train the decoder along with the adapters
    refiner: bool = True  # train the refiner along, where the network has one
    refiner_rate: float = 0.3  # of the learning rate of all else
    refiner_share: float = 0.35  # of the way that the refiner went, kept: more gains on its look, and forgets more
    replay: float = 0.4  # share of random sequences among the clips
    frames: int = 4  # of a clip
    size: int = 96  # pixels, side of a clip's frames
    batch: int = 2  # clips per forward pass
    accumulate: int = 1  # forward passes per step
    learning_rate: float | None = None  # at the start of the run
    gradient_checkpointing: bool = False  # less memory, more time; where memory ends, it is tried first
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.replay <= 1:
            raise ValueError(f"replay is a share of the clips, 0 to 1; got {self.replay}")
        if not 0 <= self.refiner_share <= 1:
            raise ValueError(f"refiner_share is a share of the refiner's way, 0 to 1; got {self.refiner_share}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"a training needs at least 1 step, got {self.steps}")

    @property
    def parts(self) -> frozenset[str]:
        """Parts of the network that are trained along with the adapters."""
        return frozenset(part for part in ("decoder", "refiner") if getattr(self, part))

    def steps_for(self, volumes: int) -> int:
        """Steps for this many labelled volumes; more gain little on their look and cost other looks."""
        return self.steps or min(45 + 5 * volumes, 150)
