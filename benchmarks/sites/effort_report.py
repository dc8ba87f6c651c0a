"""What sequences of annotated volumes came to: tables and a picture, told against never training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from benchmarks.averages import interval, mean

STRATEGIES = ("first", "random", "imos_foreground", "imos_uncertainty")
NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One volume of a sequence."""

    case: str
    label: str
    slices: int  # that were annotated until it was right enough
    reached: bool  # whether it was
    first_dice: float  # after the first slice
    never_slices: int  # the same without any training
    never_first_dice: float
    uncertainty: float  # of the proposal without any training, as the strategies see it


@dataclass(frozen=True, kw_only=True)
class Run:
    """One strategy's sequence at one site."""

    seed: int
    strategy: str
    steps: tuple[Step, ...]

    @property
    def total(self) -> int:
        """Slices of all volumes."""
        return sum(step.slices for step in self.steps)

    @property
    def never_total(self) -> int:
        """The same without training."""
        return sum(step.never_slices for step in self.steps)


def never_run(runs: Sequence[Run]) -> list[Run]:
    """The control: the sites without training, in the order of names; one run per seed."""
    controls = []
    for run in runs:
        if run.strategy == STRATEGIES[0]:
            steps = tuple(
                replace(step, slices=step.never_slices, first_dice=step.never_first_dice) for step in run.steps
            )
            controls.append(replace(run, strategy=NEVER, steps=steps))
    return controls


def report_lines(runs: Sequence[Run], trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: slices by position and in all, against never training; and what was saved by position."""
    every = [*never_run(runs), *runs]
    places = range(len(every[0].steps))
    lines = [
        f"| strategy | {' | '.join(f'volume {place + 1}' for place in places)} | all | fewer than never | first Dice |",
        "|---" * (len(places) + 4) + "|",
    ]
    for name in (NEVER, *STRATEGIES):
        mine = [run for run in every if run.strategy == name]
        cells = [_mean([run.steps[place].slices for run in mine]) for place in places]
        saved = "" if name == NEVER else _mean([run.never_total - run.total for run in mine])
        first = np.mean([step.first_dice for run in mine for step in run.steps])
        lines.append(f"| {name} | {' | '.join(cells)} | {_mean([run.total for run in mine])} | {saved} | {first:.3f} |")
    lines += ["", "Fewer than never on the same volumes, by place in the sequence:", "", *_saved_lines(runs, places)]
    rank = mean([_rank(run) for run in runs if run.strategy == STRATEGIES[0]])
    kept = sum(one["published"] for one in trainings)
    seconds = np.mean([one["seconds"] for one in trainings]) if trainings else 0.0
    short = sum(not step.reached for run in runs for step in run.steps)
    lines += [
        "",
        *_taught_lines(runs),
        f"{len(trainings)} trainings of {seconds:.0f} s on average, of which the gate let {kept} pass.",
        f"Rank correlation of a proposal's uncertainty with what it lacks to Dice 1, before any training: {rank:.2f}.",
        f"Volumes that stayed below the wanted Dice: {short} of {sum(len(run.steps) for run in runs)}.",
    ]
    return lines


def _saved_lines(runs: Sequence[Run], places: range) -> list[str]:
    lines = [
        f"| strategy | {' | '.join(f'volume {place + 1}' for place in places)} |",
        "|---" * (len(places) + 1) + "|",
    ]
    for name in STRATEGIES:
        steps = [[run.steps[place] for run in runs if run.strategy == name] for place in places]
        cells = [_mean([step.never_slices - step.slices for step in here]) for here in steps]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _taught_lines(runs: Sequence[Run]) -> list[str]:
    """What the first volume of a sequence taught about the later ones, by its label and theirs."""
    lines = []
    for first in sorted({run.steps[0].label for run in runs}):
        begun = [run for run in runs if run.steps[0].label == first]
        for label in sorted({step.label for run in begun for step in run.steps[1:]}):
            later = [step for run in begun for step in run.steps[1:] if step.label == label]
            now, never = np.mean([[step.slices, step.never_slices] for step in later], axis=0)
            told = f"a later {label} takes {now:.2f} slices, never {never:.2f}"
            lines.append(f"{len(begun)} sequences begin with a {first}: {told}.")
    return lines


def _mean(values: Sequence[float]) -> str:
    """Mean over the sites, with its bootstrap interval."""
    low, high = interval({"sites": values}) if len(set(values)) > 1 else (values[0], values[0])
    return f"{np.mean(values):.1f} ({low:.1f} to {high:.1f})"


def _rank(run: Run) -> float:
    """How well uncertainty orders volumes by what the first slice leaves wrong, -1 to 1; nan where all are equal."""
    doubts, faults = [step.uncertainty for step in run.steps], [1 - step.never_first_dice for step in run.steps]
    if len(set(doubts)) == 1 or len(set(faults)) == 1:
        return float("nan")
    return float(spearmanr(doubts, faults)[0])


def draw(runs: Sequence[Run], picture: Path) -> None:
    """Slices by place in the sequence, and how many fewer than without training on the same volumes."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    slices, saved = figure.subplots(1, 2)
    for axes in (slices, saved):
        axes.xaxis.get_major_locator().set_params(integer=True)
    for name in (NEVER, *STRATEGIES):
        mine = [run for run in (*never_run(runs), *runs) if run.strategy == name]
        needed = np.mean([[step.slices for step in run.steps] for run in mine], axis=0)
        style: dict[str, Any] = {"color": "0.5", "linestyle": "--"} if name == NEVER else {"marker": "o"}
        slices.plot(np.arange(len(needed)) + 1, needed, label=name, **style)
        if name != NEVER:
            less = np.mean([[step.never_slices - step.slices for step in run.steps] for run in mine], axis=0)
            saved.plot(np.arange(len(less)) + 1, less, label=name, **style)
    saved.axhline(0, color="0.5", linestyle="--")
    slices.set(xlabel="place in the sequence", ylabel="annotated slices per volume")
    saved.set(xlabel="place in the sequence", ylabel="fewer than never training")
    slices.legend(fontsize="small")
    figure.savefig(picture, dpi=120)
