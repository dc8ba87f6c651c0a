"""The demo's picture, one row per structure: the marked slice, slices of the result, and agreement per slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from imos_engine.sequence import frames_along
from scripts.demo.case import PAINTED, Case, Mask
from scripts.demo.result import Followed

matplotlib.use("Agg")  # a file, no window
from matplotlib import pyplot
from matplotlib.axes import Axes

RESULT = "#ff3b6b"
TRUTH = "#35e0ff"
CONFIDENCE = "#ffb703"
MARKED = "#00e676"
MARKS = {PAINTED: RESULT, "foreground_scribbles": MARKED, "background_scribbles": "#ffb703"}
SLICES = 5  # of the result, per structure
MARGIN = 12  # pixels around a structure
ROW_INCHES, WIDTH_INCHES = 2.0, 15.0

Window = tuple[slice, slice]


def draw_montage(path: Path, case: Case, image: NDArray[Any], followed: Sequence[Followed]) -> None:
    """Write the picture. Shapes: image (I, J, K) or (I, J, K, 3)."""
    frames = _grey(frames_along(image, case.axis))
    pyplot.style.use("dark_background")
    figure = pyplot.figure(figsize=(WIDTH_INCHES, ROW_INCHES * len(followed) + 0.5), layout="constrained")
    figure.suptitle(_title(case, followed), fontsize=13)
    grid = figure.add_gridspec(len(followed), SLICES + 2, width_ratios=[1] * (SLICES + 1) + [1.6])
    for row, one in enumerate(followed):
        window = _window(one.extent, frames.shape[1:])
        pictures = [figure.add_subplot(grid[row, column]) for column in range(SLICES + 1)]
        _draw_marks(pictures[0], frames, one, window)
        for axes, index in zip(pictures[1:], _spread(one.extent), strict=False):
            _draw_result(axes, frames, one, index, window)
        for axes in pictures:
            axes.set_axis_off()
        _draw_curves(figure.add_subplot(grid[row, -1]), one)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _draw_marks(axes: Axes, frames: NDArray[Any], one: Followed, window: Window) -> None:
    """The slice that was marked last, as the person left it, and the mask that the marks became."""
    index = one.seeds[0] if one.asked_for is None else one.asked_for
    _draw_frame(axes, frames, index, window)
    for kind, mask in one.marks.items():
        _fill(axes, mask[index][window], MARKS[kind], opacity=0.9)
    _outline(axes, one.mask[index][window], RESULT)
    axes.set_title(f"marked: slice {index}", fontsize=9, loc="left", color=MARKED)


def _draw_result(axes: Axes, frames: NDArray[Any], one: Followed, index: int, window: Window) -> None:
    _draw_frame(axes, frames, index, window)
    _fill(axes, one.mask[index][window], RESULT, opacity=0.35)
    if one.truth is not None:
        _outline(axes, one.truth[index][window], TRUTH)
    agreement = f"   J {one.agreement[index]:.2f}" if index in one.agreement else ""
    axes.set_title(f"slice {index}{agreement}", fontsize=9, loc="left")


def _draw_curves(axes: Axes, one: Followed) -> None:
    """J and the confidence that came with the reply, slice by slice."""
    for values, colour, name in ((one.agreement, TRUTH, "J"), (one.confidence, CONFIDENCE, "confidence")):
        if values:
            slices = sorted(values)
            axes.plot(slices, [values[index] for index in slices], color=colour, label=name, linewidth=1.4)
    for index in one.seeds:
        axes.axvline(index, color=MARKED, linestyle=":", linewidth=1)
    axes.set_ylim(0, 1.02)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, loc="lower center", frameon=False)
    figures = "" if one.score is None else f": J&F {one.score.jf:.2f}, Dice {one.score.dice:.2f}"
    marked = f"{len(one.seeds)} slice{'s' * (len(one.seeds) > 1)} marked"
    axes.set_title(f"{one.structure.name}\n{marked}{figures}", fontsize=8, loc="left")


def _draw_frame(axes: Axes, frames: NDArray[Any], index: int, window: Window) -> None:
    low, high = np.percentile(frames[index], (0.5, 99.5))
    axes.imshow(frames[index][window].T, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), origin="lower")


def _fill(axes: Axes, mask: Mask, colour: str, *, opacity: float) -> None:
    red, green, blue = matplotlib.colors.to_rgb(colour)
    axes.imshow((mask.T[..., None] * (red, green, blue, opacity)).astype(np.float32), origin="lower")


def _outline(axes: Axes, mask: Mask, colour: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask.T, levels=[0.5], colors=[colour], linewidths=0.8)


def _title(case: Case, followed: Sequence[Followed]) -> str:
    truth = ", the true outline blue" if any(one.truth is not None for one in followed) else ""
    return f"{case.image.name}: the result is red{truth}"


def _spread(extent: Mask) -> list[int]:
    """Slices spread evenly over those that hold the structure, its first and last ones left out."""
    held = np.flatnonzero(extent.any(axis=(1, 2)))
    if held.size == 0:
        return []
    return [int(index) for index in held[np.linspace(0, held.size - 1, SLICES + 2).round().astype(int)][1:-1]]


def _window(extent: Mask, shape: tuple[int, ...]) -> Window:
    """The part of a frame that holds the structure on any slice."""
    rows, columns = (np.flatnonzero(extent.any(axis=(0, axis))) for axis in (2, 1))
    if rows.size == 0:
        return slice(0, shape[0]), slice(0, shape[1])
    return (
        slice(max(int(rows[0]) - MARGIN, 0), int(rows[-1]) + MARGIN + 1),
        slice(max(int(columns[0]) - MARGIN, 0), int(columns[-1]) + MARGIN + 1),
    )


def _grey(frames: NDArray[Any]) -> NDArray[Any]:
    return frames.mean(axis=3) if frames.ndim == 4 else frames
