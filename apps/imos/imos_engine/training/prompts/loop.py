"""The training loop of the prompt network: one optimizer step after another, until the recipe is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from imos_engine.prompts.prompt_network import PromptNetwork, load_prompt_network, save_prompt_network
from imos_engine.prompts.view import ALLOWED, KNOWN, PREVIOUS
from imos_engine.training.batches import batches_from
from imos_engine.training.journal import Journal
from imos_engine.training.losses import dice_loss

from .examples import Batch, PromptExamples
from .recipe import PromptTraining

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"
WEIGHTS_NAME = "weights.safetensors"


def train_prompts(
    recipe: PromptTraining,
    *,
    output_dir: Path,
    resume: bool = True,
    weights: Path | None = None,
    show_progress: bool = False,
    clock: Callable[[], float] = time.monotonic,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train a prompt network on the CPU and write its averaged weights in float16.

    Args:
        recipe: the run.
        output_dir: gets `checkpoint.pt`, `log.jsonl`, `tensorboard/` and `weights.safetensors`.
        resume: go on from the folder's checkpoint where there is one; in steps, not in minutes, bit by bit.
        weights: start from this file, of the same network, instead of random weights.
        show_progress: draw a progress bar on the standard error stream.
        clock: seconds, from any origin.
        should_stop: asked after every step; True ends the run early, as if it were done, but resumable.

    Returns: the path of the weights.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, None if weights is None else load_prompt_network(weights))
    if resume and run.restore(output_dir):
        logger.info("going on from step %d in %s", run.step, output_dir)
    examples, held_out = _examples(recipe, recipe.seed), _examples(recipe, recipe.validation.seed)
    held_out_batches = [held_out[index] for index in range(recipe.validation.batches)]
    batches = iter(batches_from(examples, run.step, workers=recipe.workers))
    with Journal(output_dir, first_step=run.step, show_progress=show_progress) as journal:
        before, started = run.minutes, clock()
        while (done := recipe.progress(run.step, run.minutes)) < 1:
            rate = recipe.learning_rate_at(done)
            loss = run.descend(next(batches), rate)
            run.minutes = before + (clock() - started) / 60
            journal.advance(recipe.progress(run.step, run.minutes))
            if run.step % recipe.log_every == 0:
                journal.record(run.step, loss=loss, learning_rate=rate, minutes=run.minutes)
            if run.step % recipe.validation.every == 0:
                journal.record(run.step, validation_dice=run.validate(held_out_batches))
            if run.step % recipe.checkpoint_every == 0:
                run.save(output_dir)
            if should_stop():
                break
        journal.record(run.step, validation_dice=run.validate(held_out_batches))
        run.save(output_dir)
    metadata = {"steps": str(run.step), "minutes": f"{run.minutes:.1f}", "seed": str(recipe.seed)}
    save_prompt_network(output_dir / WEIGHTS_NAME, run.averaged, metadata=metadata)
    return output_dir / WEIGHTS_NAME


def prompt_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy plus Dice where the loss looks. Shapes: logits (B, 1, S, S)."""
    logits = logits.float()
    entropy = F.binary_cross_entropy_with_logits(logits, batch.masks, weight=batch.counted, reduction="sum")
    valid = torch.ones(len(logits), 1, dtype=torch.bool)
    overlap = dice_loss(logits.sigmoid() * batch.counted, batch.masks * batch.counted, valid)
    return entropy / batch.counted.sum().clamp(min=1) + overlap


class Run:
    """The network in training, its average, the optimizer and the position."""

    def __init__(self, recipe: PromptTraining, start: PromptNetwork | None = None) -> None:
        if start is not None and start.config != recipe.network:
            raise ValueError(f"the weights are those of {start.config}, the recipe asks for {recipe.network}")
        self.recipe = recipe
        # The global generator, because layers initialise themselves from it; restored, so that callers notice nothing.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = PromptNetwork(recipe.network)
        if start is not None:
            network.load_state_dict(start.state_dict())
        self.network = network.to(memory_format=torch.channels_last)
        average = get_ema_multi_avg_fn(recipe.average_decay)
        self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.0, weight_decay=recipe.weight_decay)
        self.step, self.minutes = 0, 0.0

    @property
    def averaged(self) -> PromptNetwork:
        """The network with the moving average of the weights."""
        network = self.average.module
        assert isinstance(network, PromptNetwork)
        return network

    def descend(self, batch: Batch, learning_rate: float) -> float:
        """One optimizer step; gradients that are not finite move nothing. Returns the loss."""
        self.network.train()
        self.optimizer.param_groups[0]["lr"] = learning_rate
        if self.step % self.recipe.second_look_every == 0:
            batch = self.second_look(batch)
        loss = prompt_loss(self._logits(self.network, batch), batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_gradient_norm)
        if bool(norm.isfinite()):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        else:
            logger.warning("step %d left out: its gradient is not finite", self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def validate(self, batches: list[Batch]) -> float:
        """Mean Dice of the averaged network's masks on held-out examples."""
        self.averaged.eval()
        scores = []
        for batch in batches:
            found = (self._logits(self.averaged, batch) > 0).float() * batch.counted
            both = (found * batch.masks).flatten(1).sum(1)
            scores.append(2 * both / (found.flatten(1).sum(1) + batch.masks.flatten(1).sum(1)))
        return float(torch.cat(scores).mean())

    def save(self, folder: Path) -> None:
        """Write the checkpoint; a crash leaves the previous one."""
        state = {
            "recipe": self.recipe.as_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        beside = folder / f".{CHECKPOINT_NAME}.partial"
        torch.save(state, beside)
        beside.replace(folder / CHECKPOINT_NAME)

    def restore(self, folder: Path) -> bool:
        """Go on from the folder's checkpoint; False if there is none. The recipe may have changed, the network not."""
        path = folder / CHECKPOINT_NAME
        if not path.is_file():
            return False
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before, now = state["recipe"]["network"], self.recipe.as_dict()["network"]
        if before != now:
            raise ValueError(f"{path} was trained with network {before}, not {now}; use another output folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.minutes = state["step"], state["minutes"]
        return True

    def second_look(self, batch: Batch) -> Batch:
        """The batch with the network's own answers as previous masks, where marks are all there was.

        So it learns to correct what it gets wrong, and not only what a made mask has wrong.
        """
        with torch.no_grad():
            answers = self._logits(self.network, batch)[:, 0].float().sigmoid() * batch.views[:, ALLOWED]
        fresh = (batch.views[:, KNOWN] == 0).float()
        views = batch.views.clone()
        views[:, PREVIOUS] += fresh * answers
        views[:, KNOWN] += fresh
        return replace(batch, views=views)

    def _logits(self, network: PromptNetwork, batch: Batch) -> Tensor:
        views = batch.views.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            logits: Tensor = network(views)
        return logits


def _examples(recipe: PromptTraining, seed: int) -> PromptExamples:
    return PromptExamples(
        slice_size=recipe.slice_size,
        shares=recipe.shares,
        view=recipe.network.view,
        batch=recipe.batch,
        per_clip=recipe.per_clip,
        seed=seed,
    )
