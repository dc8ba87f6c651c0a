"""The training loop: phases of clips, one optimizer step after another, until the recipe is done."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imos_engine.network import ImosNetwork
from imos_engine.network.checkpoint import load_network
from imos_engine.synthesis import SequenceGenerator, SynthesisConfig
from imos_engine.training.batches import batches_from
from imos_engine.training.clip_step import ClipConditions, clip_loss, kept_clip_loss, random_plan
from imos_engine.training.clips import Batch, ClipSource, SourceFactory
from imos_engine.training.disturbance import Disturbance
from imos_engine.training.interruption import interrupts_held_back
from imos_engine.training.processes import ALONE, OwnBatches, Processes
from imos_engine.training.recipe import Phase, TrainingConfig
from imos_engine.training.recomputation import recomputed
from imos_engine.training.run_folder import WEIGHTS_NAME, RunFolder, run_folder_path
from imos_engine.training.run_state import RunState, read_checkpoint, start_run
from imos_engine.training.schedule import hardest_share, learning_rate, progress
from imos_engine.training.validation import held_out_clips, object_scores

logger = logging.getLogger(__name__)

FORMER_NAME = "former.safetensors"


def synthetic_source(*, frames: int, size: int, seed: int, **settings: Any) -> ClipSource:
    """Random sequences of the synthesis package; further settings are those of its `SynthesisConfig`.

    Raises:
        ValueError: there is no such setting.
    """
    known = sorted({item.name for item in fields(SynthesisConfig)} - {"frames", "size"})
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"synthetic clips have no setting {', '.join(unknown)}; they have {', '.join(known)}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    return SequenceGenerator(SynthesisConfig(frames=frames, size=size, **values), seed)


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
    processes: Processes = ALONE,
) -> Path:
    """Train a network and write its averaged weights.

    Args:
        config: the recipe.
        output_dir: the run's folder; `run_folder` says what it gets. A network that lies in it as FORMER_NAME is the
            one whose answers on the source's `known` clips are to stay; without it those clips are like all others.
        device: where the network is trained.
        resume: go on from the folder's checkpoint where there is one; in steps, not in minutes, bit by bit.
        weights: start from this file instead of random weights.
        source: makes the clips of each phase, and those held out; must pickle if `config.workers` is not 0.
        show_progress: draw a progress bar on the standard error stream.
        clock: seconds, from any origin.
        should_stop: asked after every step; True, in any process, ends the run early, resumable and without a last
            validation.
        processes: those that train together, this one among them; the first one writes, the others need no folder.

    Returns: the path of the averaged weights, in float32.
    """
    state = start_run(config, torch.device(device), weights=weights, processes=processes)
    checkpoint = read_checkpoint(output_dir) if resume and processes.is_first else None
    if (checkpoint := processes.from_first(checkpoint)) is not None:
        state.restore(checkpoint)
        logger.info("going on from step %d in %s", state.position.total_steps, output_dir)
    with ExitStack() as opened:
        folder = None
        if processes.is_first:
            held_out = make_validation_clips(config, source)
            folder = RunFolder(
                run_folder_path(output_dir), state, held_out, processes=processes.count, show_progress=show_progress
            )
            opened.enter_context(folder)
        former = output_dir / FORMER_NAME
        run = _Run(
            state=state, folder=folder, source=source, clock=clock, should_stop=should_stop, processes=processes,
            former=load_network(former, device=device) if former.is_file() else None,
        )  # fmt: skip
        stopped = run.finish_phases()
        if folder is not None:
            folder.finish(stopped=stopped)
    return output_dir / WEIGHTS_NAME


@dataclass(kw_only=True)
class _Run:
    """A run in progress: its state and, in the process that writes, its folder."""

    state: RunState
    folder: RunFolder | None
    source: SourceFactory
    clock: Callable[[], float]
    should_stop: Callable[[], bool]
    processes: Processes
    former: ImosNetwork | None = None

    @property
    def config(self) -> TrainingConfig:
        return self.state.config

    def finish_phases(self) -> bool:
        """Run what is left of the recipe; True if asked to stop before its end."""
        while self.state.position.phase < len(self.config.phases):
            if self._finish_phase(self.config.phases[self.state.position.phase]):
                return True
            self.state.position = self.state.position.next_phase()
        return False

    def _finish_phase(self, phase: Phase) -> bool:
        """Run what is left of the phase; True if asked to stop."""
        self.state.unfreeze(self.config.trainable_in(phase))
        batches = self._batches(phase)
        before, started = self.state.position.minutes, self.clock()
        while progress(phase, self.state.position) < 1:
            self._step(phase, [next(batches) for _ in range(phase.accumulate)])
            minutes = before + (self.clock() - started) / 60
            minutes, stop = self.processes.agree(minutes, self.should_stop())
            self.state.position = self.state.position.after_step(phase, minutes=minutes, processes=self.processes.count)
            if self.folder is not None:
                self.folder.visit()
            if stop:
                return True
        return False

    def _batches(self, phase: Phase) -> Iterator[Batch]:
        """This process's batches of the phase, from the run's position on."""
        config, position = self.config, self.state.position
        dataset = OwnBatches(
            self.source(frames=phase.frames, size=phase.size, seed=config.seed, **phase.source),
            phase,
            self.processes,
            phase_index=position.phase,
            seed=config.seed,
        )
        loader = batches_from(dataset, position.step * phase.accumulate, workers=config.workers)
        with interrupts_held_back():  # by the workers, for good: who is interrupted decides when they end
            return iter(loader)

    def _step(self, phase: Phase, batches: list[Batch]) -> None:
        """One optimizer step over the batches."""
        state, config = self.state, self.config
        done = progress(phase, state.position)
        choose = random.Random(f"{config.seed}/{state.position.phase}/{state.position.step}")
        set_training_mode(state.network, freeze_batch_norm=config.freeze_batch_norm, restrained=config.restrained)
        state.set_learning_rate(learning_rate(phase, done))
        loss_sum = 0.0
        for batch in (batch.to(state.device) for batch in batches):
            plan = random_plan(phase.frames, phase.reference_frames, config.deep_update_probability, choose)
            # The plan is every process's, so that all take equally long; what disturbs the clips is each one's own.
            disturbance = Disturbance(random.Random(choose.getrandbits(63) + self.processes.rank))
            with state.autocast(), recomputed(state.network, enabled=config.gradient_checkpointing):
                if self.former is not None and batch.known:
                    conditions = ClipConditions(plan=plan, top_k=config.top_k)
                    loss, followed = kept_clip_loss(state.network, self.former, batch, conditions)
                else:
                    conditions = ClipConditions(plan=plan, top_k=config.top_k, disturbance=disturbance)
                    loss, followed = clip_loss(state.network, batch, conditions, hardest=hardest_share(phase, done))
            (loss / len(batches)).backward()
            loss_sum += float(loss.detach()) / len(batches)
        norm = self._descend()
        if (state.position.total_steps + 1) % config.log_every == 0:
            scores = object_scores(followed.logits, batch.masks, batch.valid)
            self._record_step(loss_sum, norm, scores, phase, done)

    def _descend(self) -> Tensor:
        """Clip the gradients, move the weights and their average; gradients that are not finite move nothing."""
        state = self.state
        self.processes.average_gradients(state.trained_parameters)
        self.processes.average_statistics(state.network)
        norm = nn.utils.clip_grad_norm_(state.trained_parameters, self.config.clip_gradient_norm)
        if bool(norm.isfinite()):
            state.optimizer.step()
            state.average.update(state.network, state.position.total_steps)
        else:
            logger.warning("step %d left out: its gradient is not finite", state.position.total_steps)
        state.optimizer.zero_grad(set_to_none=True)
        return norm

    def _record_step(self, loss: float, norm: Tensor, scores: list[float], phase: Phase, done: float) -> None:
        """Write down the step that ends now, over the clips of all processes."""
        loss_sum, score_sum, objects = self.processes.total(loss, sum(scores), len(scores))
        if self.folder is not None:
            self.folder.record(
                step=self.state.position.total_steps + 1,
                loss=loss_sum / self.processes.count,
                train_J=score_sum / objects if objects else float("nan"),
                gradient_norm=float(norm),
                learning_rate=learning_rate(phase, done),
                phase=self.state.position.phase,
                minutes=self.state.position.total_minutes,
            )


def make_validation_clips(config: TrainingConfig, source: SourceFactory) -> list[Batch]:
    """The held-out clips of this recipe."""
    held_out = config.validation
    made = source(frames=held_out.frames, size=held_out.size, seed=held_out.seed, **held_out.source)
    return held_out_clips(made, held_out.clips)


def set_training_mode(network: ImosNetwork, *, freeze_batch_norm: bool, restrained: bool = False) -> None:
    """Training mode, except for frozen batch norms, which keep their statistics.

    Those are the ones whose own weights are not trained and, with `freeze_batch_norm`, all outside adapters, which
    start from nothing. A refiner that is not trained, or is to learn so, restrains itself as it will at inference.
    """
    network.train()
    if network.refiner is not None:
        learns = any(parameter.requires_grad for parameter in network.refiner.parameters())
        network.refiner.train(learns and not restrained)
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            frozen = freeze_batch_norm and ".adapter." not in name
            module.train(module.weight.requires_grad and not frozen)
