"""A run's log as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imos_engine.training.journal import read_log

Series = dict[int, float]  # step -> value

# Title of each panel, and the values of the log that it shows with their names for people.
PANELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("loss", {"loss": "training clips"}),
    ("J", {"train_J": "training clips", "validation_J": "held-out clips", "validation_J_of_seed": "seed repeated"}),
    ("learning rate", {"learning_rate": "learning rate"}),
)


def draw_curves(log: Path, picture: Path) -> None:
    """Draw loss, J and learning rate against steps; phases are parted by thin lines.

    Figures are made without `pyplot`, which would keep every one of them alive.
    """
    series = read_series(log)
    figure = Figure(figsize=(8, 9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    for axes, (title, names) in zip(panels, PANELS, strict=True):
        _draw_panel(axes, title, {label: series.get(name, {}) for name, label in names.items()})
        for step in _phase_starts(series.get("phase", {})):
            axes.axvline(step, color="0.8", linewidth=1, zorder=0)
    panels[-1].set_xlabel("optimizer steps")
    beside = picture.with_name(f".{picture.name}.partial")
    figure.savefig(beside, format="png", dpi=100)
    beside.replace(picture)


def read_series(log: Path) -> dict[str, Series]:
    """Every named value of the log by step."""
    series: dict[str, Series] = {}
    for line in read_log(log):
        for name, value in line.items():
            series.setdefault(name, {})[int(line["step"])] = value
    return series


def _draw_panel(axes: Axes, title: str, lines: dict[str, Series]) -> None:
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    for label, values in lines.items():
        if label == "seed repeated":
            for value in list(values.values())[-1:]:
                axes.axhline(value, color="0.5", linestyle="--", linewidth=1, label=f"{label} ({value:.2f})")
        elif values:
            marker = "o" if label == "held-out clips" else None
            axes.plot(list(values), list(values.values()), marker=marker, markersize=3, linewidth=1, label=label)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(fontsize="small")


def _phase_starts(phases: Series) -> list[int]:
    """Steps at which a phase was first seen, the first phase left out."""
    first_seen: dict[float, int] = {}
    for step, phase in phases.items():
        first_seen.setdefault(phase, step)
    return sorted(first_seen.values())[1:]
