"""One run over accepted labels: how long, how fast, how large, and what it gives."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from imos_engine.adapters.learning_settings import LearningSettings
from imos_engine.config import AdapterConfig
from imos_engine.network import ImosNetwork
from imos_engine.network.adapter_weights import AdapterWeights, adapter_weights, wearing
from imos_engine.network.checkpoint import load_network, save_network
from imos_engine.network.inference import native_precision
from imos_engine.training.accepted.clip_source import AcceptedClips
from imos_engine.training.clips import ClipSource
from imos_engine.training.loop import FORMER_NAME, train
from imos_engine.training.recipe import Phase, Trainable, TrainingConfig, ValidationConfig
from imos_engine.training.together import train_together

logger = logging.getLogger(__name__)

START_NAME = "start.safetensors"
VALIDATIONS = 3  # looks at held-out clips during a run
SHORTEST_INTERVAL = 20  # steps between two of them: each also draws the curves
NO_MEMORY = ("out of memory", "can't allocate memory")  # what torch says of a GPU and of a CPU


@dataclass(frozen=True)
class ClipFactory:
    """Makes the clips of a run, and those held out."""

    training: tuple[Path, ...]  # folders of stored volumes
    validation: tuple[Path, ...]
    replay: float
    together: int = 1  # clips in a row that are all replayed, or none

    def __call__(self, *, frames: int, size: int, seed: int, part: str = "training") -> ClipSource:
        """Clips of one part; where no volume is held out, other clips of those trained on."""
        if part == "validation":
            return AcceptedClips(self.validation or self.training, frames=frames, size=size, seed=seed)
        return AcceptedClips(
            self.training, frames=frames, size=size, seed=seed, replay=self.replay, together=self.together
        )


def recipe_for(
    settings: LearningSettings,
    *,
    volumes: int,
    continues: bool,
    parts: frozenset[str],
    refined: bool,
    device: torch.device,
) -> TrainingConfig:
    """The run for this many volumes; one that continues a version moves more slowly."""
    steps = settings.steps_for(volumes)
    # Fresh adapters begin almost closed (their gate is 0.02): within a hundred steps only a high rate opens them.
    rate = settings.learning_rate or (5e-4 if "decoder" in parts else 1e-3 if continues else 3e-3)
    phase = Phase(
        steps=steps,
        frames=settings.frames,
        size=settings.size,
        batch=settings.batch,
        accumulate=settings.accumulate,
        max_objects=2,
        reference_frames=3,
        learning_rate=(rate, rate / 50),
        warm_up=0.1,
        hardest_pixels=(1.0, 0.5),
    )
    held_out = ValidationConfig(
        every=max(steps // VALIDATIONS, SHORTEST_INTERVAL),
        clips=4,
        frames=6,
        size=settings.size,
        seed=settings.seed + 990_001,
        write_every=3,
        source={"part": "validation"},
    )
    return TrainingConfig(
        phases=(phase,),
        network="small" if refined else "xmem",  # weights are given, so this only says whether a refiner is expected
        seed=settings.seed,
        validation=held_out,
        trainable=Trainable("+".join(("adapters", *sorted(parts)))),
        freeze_batch_norm=True,
        refiner_rate=settings.refiner_rate,
        restrained=True,
        precision=native_precision(device),
        gradient_checkpointing=settings.gradient_checkpointing,
        average_decay=0.95,
        checkpoint_every=20,
        log_every=5,
        workers=0,
    )


def adapt(
    base: ImosNetwork,
    clips: ClipFactory,
    settings: LearningSettings,
    *,
    folder: Path,
    parent: AdapterWeights | None,
    device: torch.device,
    processes: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> AdapterWeights:
    """Train adapters for a network that stays as it is; goes on from the folder's checkpoint where there is one.

    Without memory for it, a run goes on with gradient checkpointing, then half the batch, at last on the CPU.

    Args:
        base: the network, without adapters.
        clips: what it learns from.
        settings: how.
        folder: of the run.
        parent: the adapters to begin with; None is fresh ones.
        device: where it is trained.
        processes: that train together; on GPUs each has one of its own.
        should_stop: asked after every step.
    """
    start = folder / START_NAME
    if not start.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        save_network(folder / FORMER_NAME, base)
        save_network(start, _dressed(base, parent, seed=settings.seed), metadata=base.metadata)
    clips = replace(clips, together=settings.batch)  # a batch is either to be learned or to be kept
    # What the parent brought goes on learning: its adapters belong to it.
    parts = settings.parts | (frozenset() if parent is None else parent.parts)
    if base.refiner is None:
        parts -= {"refiner"}
    config = recipe_for(
        settings,
        volumes=len(clips.training),
        continues=parent is not None,
        parts=parts,
        refined=base.refiner is not None,
        device=device,
    )
    asked = _Counted(should_stop, settings.steps_for(len(clips.training)))
    weights = _train_in_what_memory_there_is(
        config, device, processes, output_dir=folder, weights=start, source=clips, should_stop=asked
    )
    learned = load_network(weights)
    if "refiner" in parts:
        _keep_part_of_the_way(load_network(start), learned, share=settings.refiner_share)
    return adapter_weights(learned, parts=parts)


class _Counted:
    """Asks whether to stop after every step, and says in the log how far the run is."""

    def __init__(self, should_stop: Callable[[], bool], steps: int) -> None:
        self._should_stop, self._steps, self._done = should_stop, steps, 0

    def __call__(self) -> bool:
        self._done += 1
        if self._done % max(self._steps // 10, 1) == 0:
            logger.info("Step %d of %d at most", self._done, self._steps)
        return self._should_stop()


def _train_in_what_memory_there_is(
    config: TrainingConfig, device: torch.device, processes: int, **options: Any
) -> Path:
    """The averaged weights of a run, which goes on in less memory each time that there is too little."""
    while True:
        try:
            how: Callable[..., Path] = train if processes == 1 else partial(train_together, count=processes)
            return how(config, device=device, **options)
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in NO_MEMORY):
                raise
            config, device = with_less_memory(config, device, error)
            processes = processes if device.type == "cuda" else 1
            logger.warning(
                "Not enough memory; going on with gradient checkpointing and %d clips at a time on %s",
                config.phases[0].batch,
                device,
            )


def with_less_memory(
    config: TrainingConfig, device: torch.device, error: Exception
) -> tuple[TrainingConfig, torch.device]:
    """The same run in less memory: gradient checkpointing, then fewer clips at a time, at last no GPU but the CPU.

    Raises:
        MemoryError: there is nothing left to save.
    """
    (phase,) = config.phases
    if not config.gradient_checkpointing:
        return replace(config, gradient_checkpointing=True), device
    if phase.batch > 1:
        smaller = replace(phase, batch=phase.batch // 2, accumulate=phase.accumulate * 2)
        return replace(config, phases=(smaller,)), device
    if device.type != "cpu":
        cpu = torch.device("cpu")
        return replace(config, precision=native_precision(cpu)), cpu
    raise MemoryError("this machine has too little memory to train on; ask for a smaller size") from error


@torch.no_grad()
def _keep_part_of_the_way(start: ImosNetwork, learned: ImosNetwork, *, share: float) -> None:
    """Move the refiner back towards where it began (the weights' mean, as of WiSE-FT, arXiv 2109.01903).

    What decides whether an object is there at all goes back for good: a site's clips hardly show one that is absent.
    """
    if start.refiner is None or learned.refiner is None:
        raise ValueError("only a network with a refiner can keep part of its way")
    began = dict(start.refiner.named_parameters())
    for name, after in learned.refiner.named_parameters():
        after.lerp_(began[name], 1.0 if name.startswith("presence.") else 1 - share)


def _dressed(base: ImosNetwork, parent: AdapterWeights | None, *, seed: int) -> ImosNetwork:
    if parent is not None:
        return wearing(base, parent)
    network = ImosNetwork(base.config)
    network.load_state_dict(base.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.attach_adapters(AdapterConfig())
    return network
