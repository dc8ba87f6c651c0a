"""What a run leaves behind, written by one process: recipe, environment, log, curves, samples, checkpoint, weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

import torch

from imos_engine.network.checkpoint import save_network
from imos_engine.training.clips import Batch
from imos_engine.training.curves import draw_curves
from imos_engine.training.environment import describe_environment
from imos_engine.training.journal import LOG_NAME, Journal
from imos_engine.training.run_state import RunState
from imos_engine.training.samples import draw_samples
from imos_engine.training.schedule import whole_progress
from imos_engine.training.validation import mean_similarity, predicted_labels, seed_similarity

WEIGHTS_NAME = "weights.safetensors"
RECIPE_NAME = "recipe.json"
ENVIRONMENT_NAME = "environment.json"
CURVES_NAME = "curves.png"
SAMPLES = "samples"  # folder of pictures
SNAPSHOTS = "snapshots"  # folder of weights
SAMPLE_CLIPS = 4  # held-out clips that are drawn


class RunFolder:
    """The folder of a run in progress; closed by leaving its `with` block."""

    def __init__(
        self, path: Path, state: RunState, held_out: list[Batch], *, processes: int = 1, show_progress: bool = False
    ) -> None:
        self.path = path
        self.state = state
        self.held_out = held_out
        for folder in (path / SAMPLES, path / SNAPSHOTS):
            folder.mkdir(parents=True, exist_ok=True)
            _forget_after(folder, state.position.total_steps)
        (path / RECIPE_NAME).write_text(json.dumps(state.config.as_dict(), indent=1) + "\n", encoding="utf-8")
        self._describe_start(processes)
        self.journal = Journal(path, first_step=state.position.total_steps, show_progress=show_progress)
        self.record(step=state.position.total_steps, validation_J_of_seed=seed_similarity(held_out))

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.__exit__(kind, error, trace)

    def record(self, *, step: int, **values: float) -> None:
        """Write named values of this step."""
        self.journal.record(step, **values)

    def visit(self) -> None:
        """After a step: validate, save and keep a snapshot where it is time to."""
        config, steps = self.state.config, self.state.position.total_steps
        self.journal.advance(whole_progress(config.phases, self.state.position))
        if steps % config.checkpoint_every == 0:
            self.state.save(self.path)
        if config.keep_snapshots is not None and steps % config.keep_snapshots == 0:
            self._save_average(self.path / SNAPSHOTS / f"{_step_name(steps)}.safetensors", torch.float16)
        if steps % config.validation.every == 0:
            self.validate()

    def validate(self) -> None:
        """Record and draw how well the averaged network follows the held-out clips."""
        held_out = self.state.config.validation
        with self.state.autocast():
            predicted = predicted_labels(
                self.state.average.network,
                self.held_out,
                write_every=held_out.write_every,
                top_k=self.state.config.top_k,
                device=self.state.device,
            )
        self.record(step=self.state.position.total_steps, validation_J=mean_similarity(self.held_out, predicted))
        shown = [labels[0] for labels in predicted[:SAMPLE_CLIPS]]
        if shown:
            name = f"{_step_name(self.state.position.total_steps)}.png"
            draw_samples(self.held_out[: len(shown)], shown, self.path / SAMPLES / name)
        draw_curves(self.path / LOG_NAME, self.path / CURVES_NAME)

    def finish(self, *, stopped: bool) -> None:
        """Write the checkpoint, the averaged weights in float32 and, at the end of the recipe, a last validation."""
        self.state.save(self.path)
        if not stopped:  # who stops a run waits for it
            self.validate()
        self._save_average(self.path / WEIGHTS_NAME, torch.float32)

    def _save_average(self, path: Path, dtype: torch.dtype) -> None:
        position = self.state.position
        spent = {"steps": position.total_steps, "minutes": round(position.total_minutes, 3), "frames": position.frames}
        metadata = {name: str(value) for name, value in spent.items()}
        save_network(path, self.state.average.network, metadata=metadata, dtype=dtype)

    def _describe_start(self, processes: int) -> None:
        """Add this start to those of the same run."""
        path, step = self.path / ENVIRONMENT_NAME, self.state.position.total_steps
        earlier = json.loads(path.read_text(encoding="utf-8")) if step and path.is_file() else []
        start = {"first_step": step} | describe_environment(self.state.device, processes=processes)
        path.write_text(json.dumps([*earlier, start], indent=1) + "\n", encoding="utf-8")


def run_folder_path(path: Path) -> Path:
    """The folder, made where it is missing.

    Raises:
        ValueError: a file has this name.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; give a folder for the run's output")
    path.mkdir(parents=True, exist_ok=True)
    return path


def step_of(path: Path) -> int | None:
    """The step in the name of a sample or snapshot; None if it has another name."""
    word, _, number = path.stem.partition("_")
    return int(number) if word == "step" and number.isdecimal() else None


def _step_name(step: int) -> str:
    return f"step_{step:07d}"


def _forget_after(folder: Path, step: int) -> None:
    """Delete what later steps wrote: a resumed run makes them again, a fresh one is another run."""
    for path in list(folder.iterdir()):
        if (step_of(path) or 0) > step:
            path.unlink()
