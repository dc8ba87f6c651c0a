"""Rows of slices with marks and the mask that came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from scripts.demo.case import Mask
from scripts.demo.sample import IDS

matplotlib.use("Agg")  # a file, no window
from matplotlib import pyplot
from matplotlib.axes import Axes

REPLY, FOREGROUND, BACKGROUND = "#ff3b6b", "#00e676", "#ffb703"
MARGIN = 25  # pixels around what came back
INCHES = 2.4  # width of a slice
HEAD_INCHES = 0.45  # above a row


@dataclass(frozen=True)
class Row:
    """One reply on some slices."""

    title: str
    mask: Mask  # (T, H, W)
    slices: Sequence[int]
    strokes: NDArray[Any] | None = None  # values of a label map (T, H, W)
    points: Mapping[str, Sequence[Sequence[int]]] | None = None  # by kind, [i, j, k]; j is the slice


def draw(path: Path, frames: NDArray[Any], rows: Sequence[Row]) -> None:
    """Write a picture. Shapes: frames (T, H, W)."""
    window = _window(np.logical_or.reduce([row.mask.any(axis=0) for row in rows]))
    columns = max(len(row.slices) for row in rows)
    width, height = (side.stop - side.start for side in window)
    pyplot.style.use("dark_background")
    figure, grid = pyplot.subplots(
        len(rows),
        columns,
        figsize=(INCHES * columns, (INCHES * height / width + HEAD_INCHES) * len(rows)),
        layout="constrained",
        squeeze=False,
    )
    for line, row in zip(grid, rows, strict=True):
        for axes in line:
            axes.set_axis_off()
        for axes, index in zip(line, row.slices, strict=False):
            _draw_slice(axes, frames, row, index, window)
        line[0].set_title(f"{row.title}\n{line[0].get_title(loc='left')}", fontsize=9, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _draw_slice(axes: Axes, frames: NDArray[Any], row: Row, index: int, window: tuple[slice, slice]) -> None:
    low, high = np.percentile(frames[index], (0.5, 99.5))
    axes.imshow(frames[index][window].T, cmap="gray", vmin=low, vmax=high, origin="lower")
    shown = row.mask[index][window]
    if shown.any():
        axes.contourf(shown.T, levels=[0.5, 1], colors=[REPLY], alpha=0.35)
        axes.contour(shown.T, levels=[0.5], colors=[REPLY], linewidths=0.9)
    marked = False
    for name, colour in (("foreground", FOREGROUND), ("background", BACKGROUND)):
        if row.strokes is not None:
            there = np.argwhere(row.strokes[index][window] == IDS[f"{name}_scribbles"])
        else:
            points = [(i, k) for i, j, k in (row.points or {}).get(name, ()) if j == index]
            there = np.array(points, dtype=float).reshape(-1, 2) - (window[0].start, window[1].start)
        marked = marked or len(there) > 0
        axes.scatter(there[:, 0], there[:, 1], s=3 if row.strokes is not None else 28, color=colour, linewidths=0)
    axes.set_title(f"slice {index}{', marked' if marked else ''}", fontsize=9, loc="left")


def _window(held: Mask) -> tuple[slice, slice]:
    """The part of a frame that holds what came back."""
    sides = []
    for axis in (0, 1):
        there = np.flatnonzero(held.any(axis=1 - axis))
        low, high = (int(there[0]), int(there[-1])) if there.size else (0, held.shape[axis] - 1)
        sides.append(slice(max(low - MARGIN, 0), min(high + MARGIN + 1, held.shape[axis])))
    return sides[0], sides[1]
