"""The training loop: phases of clips, one optimizer step after another, until the recipe is done."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from imos_engine.config import Precision
from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import save_network
from imos_engine.synthesis import SequenceGenerator, SynthesisConfig
from imos_engine.training.clip_step import ClipConditions, clip_loss, random_plan
from imos_engine.training.clips import Batch, ClipBatches, ClipSource, SourceFactory, batches_from
from imos_engine.training.disturbance import Disturbance
from imos_engine.training.journal import Journal
from imos_engine.training.recipe import Phase, TrainingConfig
from imos_engine.training.run_state import RunState, start_run
from imos_engine.training.schedule import Position, hardest_share, learning_rate, progress, whole_progress
from imos_engine.training.validation import held_out_clips, mean_similarity, object_scores, seed_similarity

logger = logging.getLogger(__name__)

WEIGHTS_NAME = "weights.safetensors"


def synthetic_source(*, frames: int, size: int, seed: int) -> ClipSource:
    """Random sequences of the synthesis package."""
    return SequenceGenerator(SynthesisConfig(frames=frames, size=size), seed)


def train(
    config: TrainingConfig,
    *,
    output_dir: Path,
    device: torch.device | str = "cpu",
    resume: bool = True,
    weights: Path | None = None,
    source: SourceFactory = synthetic_source,
    show_progress: bool = False,
    clock: Callable[[], float] = time.monotonic,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train a network and write its averaged weights.

    Args:
        config: the recipe.
        output_dir: gets `checkpoint.pt`, `log.jsonl`, `tensorboard/` and `weights.safetensors`.
        device: where the network is trained.
        resume: go on from the folder's checkpoint where there is one; in steps, not in minutes, bit by bit.
        weights: start from this file instead of random weights.
        source: makes the clips of each phase, and those held out; must pickle if `config.workers` is not 0.
        show_progress: draw a progress bar on the standard error stream.
        clock: seconds, from any origin.
        should_stop: asked after every step; True ends the run early, as if it were done, but resumable.

    Returns: the path of the averaged weights, in float32.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    state = start_run(config, torch.device(device), weights=weights)
    if resume and state.restore(output_dir):
        logger.info("going on from step %d in %s", state.position.total_steps, output_dir)
    with Journal(output_dir, first_step=state.position.total_steps, show_progress=show_progress) as journal:
        run = _Run(
            state=state,
            journal=journal,
            source=source,
            device=torch.device(device),
            clock=clock,
            folder=output_dir,
            held_out=make_validation_clips(config, source),
        )
        journal.record(state.position.total_steps, validation_J_of_seed=seed_similarity(run.held_out))
        while state.position.phase < len(config.phases):
            if run.finish_phase(config.phases[state.position.phase], should_stop):
                break
            state.position = Position(phase=state.position.phase + 1, total_steps=state.position.total_steps)
        run.validate()
        state.save(output_dir)
    save_network(output_dir / WEIGHTS_NAME, state.average.network, metadata={"steps": str(state.position.total_steps)})
    return output_dir / WEIGHTS_NAME


@dataclass(kw_only=True)
class _Run:
    """A run in progress: its state and where it reports."""

    state: RunState
    journal: Journal
    source: SourceFactory
    device: torch.device
    clock: Callable[[], float]
    folder: Path
    held_out: list[Batch]

    @property
    def config(self) -> TrainingConfig:
        return self.state.config

    def finish_phase(self, phase: Phase, should_stop: Callable[[], bool]) -> bool:
        """Run what is left of the phase; True if asked to stop."""
        self.state.unfreeze(self.config.trainable_in(phase))
        dataset = ClipBatches(
            self.source(frames=phase.frames, size=phase.size, seed=self.config.seed),
            phase,
            phase_index=self.state.position.phase,
            seed=self.config.seed,
        )
        loader = batches_from(dataset, self.state.position.step * phase.accumulate, workers=self.config.workers)
        batches = iter(loader)
        before, started = self.state.position.minutes, self.clock()
        while progress(phase, self.state.position) < 1:
            self._step(phase, [next(batches) for _ in range(phase.accumulate)])
            position = self.state.position
            self.state.position = replace(
                position,
                step=position.step + 1,
                total_steps=position.total_steps + 1,
                minutes=before + (self.clock() - started) / 60,
            )
            self.journal.advance(whole_progress(self.config.phases, self.state.position))
            self._keep_house()
            if should_stop():
                return True
        return False

    def _step(self, phase: Phase, batches: list[Batch]) -> None:
        """One optimizer step over the batches."""
        state, config = self.state, self.config
        done = progress(phase, state.position)
        choose = random.Random(f"{config.seed}/{state.position.phase}/{state.position.step}")
        set_training_mode(state.network, freeze_batch_norm=config.freeze_batch_norm)
        state.optimizer.param_groups[0]["lr"] = learning_rate(phase, done)
        loss_sum = 0.0
        for batch in (batch.to(self.device) for batch in batches):
            plan = random_plan(phase.frames, phase.reference_frames, config.deep_update_probability, choose)
            with self._autocast():
                conditions = ClipConditions(plan=plan, top_k=config.top_k, disturbance=Disturbance(choose))
                loss, followed = clip_loss(state.network, batch, conditions, hardest=hardest_share(phase, done))
            (loss / len(batches)).backward()
            loss_sum += float(loss.detach()) / len(batches)
        norm = self._descend()
        if (state.position.total_steps + 1) % config.log_every == 0:
            scores = object_scores(followed.logits, batch.masks, batch.valid)
            self._record_step(loss_sum, norm, scores, phase, done)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision is Precision.BFLOAT16)

    def _descend(self) -> Tensor:
        """Clip the gradients, move the weights and their average; gradients that are not finite move nothing."""
        state = self.state
        norm = nn.utils.clip_grad_norm_(state.trained_parameters, self.config.clip_gradient_norm)
        if bool(norm.isfinite()):
            state.optimizer.step()
            state.average.update(state.network, state.position.total_steps)
        else:
            logger.warning("step %d left out: its gradient is not finite", state.position.total_steps)
        state.optimizer.zero_grad(set_to_none=True)
        return norm

    def _record_step(self, loss: float, norm: Tensor, scores: list[float], phase: Phase, done: float) -> None:
        position = self.state.position
        self.journal.record(
            position.total_steps + 1,
            loss=loss,
            train_J=float(np.mean(scores)) if scores else float("nan"),
            gradient_norm=float(norm),
            learning_rate=learning_rate(phase, done),
            phase=position.phase,
            minutes=position.minutes,
        )

    def _keep_house(self) -> None:
        """Validate and save when it is time to."""
        steps = self.state.position.total_steps
        if steps % self.config.validation.every == 0:
            self.validate()
        if steps % self.config.checkpoint_every == 0:
            self.state.save(self.folder)

    def validate(self) -> None:
        """Record how well the averaged network follows the held-out clips."""
        with self._autocast():
            score = mean_similarity(
                self.state.average.network,
                self.held_out,
                write_every=self.config.validation.write_every,
                top_k=self.config.top_k,
                device=self.device,
            )
        self.journal.record(self.state.position.total_steps, validation_J=score)


def make_validation_clips(config: TrainingConfig, source: SourceFactory) -> list[Batch]:
    """The held-out clips of this recipe."""
    held_out = config.validation
    return held_out_clips(source(frames=held_out.frames, size=held_out.size, seed=held_out.seed), held_out.clips)


def set_training_mode(network: ImosNetwork, *, freeze_batch_norm: bool) -> None:
    """Training mode, except for frozen batch norms, which keep their statistics.

    Those are the ones whose own weights are not trained and, with `freeze_batch_norm`, all outside adapters, which
    start from nothing.
    """
    network.train()
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            frozen = freeze_batch_norm and ".adapter." not in name
            module.train(module.weight.requires_grad and not frozen)
