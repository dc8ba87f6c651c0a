"""What a run draws: methods side by side, Dice against annotated slices, and the best, median and worst result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.baselines.grey_frames import grey_frames
from benchmarks.cases import LabelledCase
from benchmarks.methods import OURS, Method
from benchmarks.protocols import ROUNDS, Measurement, RoundsMeasurement
from benchmarks.summary import LABELS_ALIKE, MODALITIES_ALIKE, by_method, summary
from imos_engine.metrics import region_similarity
from imos_engine.sequence import frames_along

Mask = NDArray[np.bool_]

TRUTH, PREDICTED = "#ffd23f", "#2ec4ff"  # told apart by every kind of colour vision
COLOURS = ("#2f6db5", "#b0b0b0", "#d98c3f", "#7f9f52", "#9a6fb0")  # ours first
MARGIN = 12  # pixels shown around an object


def draw_comparison(path: Path, results: Sequence[Measurement]) -> None:
    """J&F of every method per modality and overall, with intervals."""
    means = summary(results)
    rows = [row for row in means if row != LABELS_ALIKE]
    methods = list(by_method(results))
    figure = Figure(figsize=(1.5 + 1.6 * len(rows), 4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(methods)
    for place, method in enumerate(methods):
        scores = [means[row][method] for row in rows]
        heights = np.array([score["jf"] for score in scores])
        ends = np.array([[score["low"], score["high"]] for score in scores])
        whiskers = np.nan_to_num(np.abs(ends.T - heights))
        position = np.arange(len(rows)) + (place - (len(methods) - 1) / 2) * width
        axes.bar(position, heights, width, label=method, color=_colour(method, methods))
        axes.errorbar(position, heights, whiskers, fmt="none", ecolor="#303030", elinewidth=0.8, capsize=2)
    axes.set_xticks(np.arange(len(rows)), [row.replace(" ", "\n", 1) for row in rows])
    axes.set(ylabel="J&F, mean and 95% interval", ylim=(0, 1))
    _finish(figure, axes, path)


def draw_rounds(path: Path, results: Sequence[RoundsMeasurement]) -> None:
    """Dice against the number of annotated slices, modalities weighing the same."""
    means = summary(results)[MODALITIES_ALIKE]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    counts = range(1, ROUNDS + 1)
    for method, scores in means.items():
        heights = [scores[f"after {count}"] for count in counts]
        axes.plot(counts, heights, marker="o", label=method, color=_colour(method, list(means)))
    axes.set(xlabel="annotated slices", ylabel="Dice, mean over modalities", xticks=list(counts))
    axes.set_ylim(top=1)
    _finish(figure, axes, path)


def draw_gallery(path: Path, results: Sequence[Measurement], cases: Sequence[LabelledCase], method: Method) -> None:
    """Best, median and worst label by J&F, carried once more: the seed, a typical frame and the worst frame."""
    ranked = sorted((result for result in results if not np.isnan(result.jf)), key=lambda result: -result.jf)
    shown = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    figure = Figure(figsize=(9, 9.6), layout="constrained")
    grid = figure.subplots(len(shown), 3)
    for row, (rank, result) in zip(grid, shown.items(), strict=True):
        case = next(case for case in cases if case.name == result.case)
        label = next(value for value, name in case.label_names.items() if name == result.label)
        _draw_result(row, case, label, method)
        row[0].set_ylabel(f"{rank}: {result.label}\n{result.case}\nJ&F {result.jf:.3f}")
    figure.suptitle("true outline yellow, predicted blue")
    figure.savefig(path, dpi=110)


def _draw_result(row: Sequence[Axes], case: LabelledCase, label: int, method: Method) -> None:
    truth, seed = case.label_mask(label), case.seed_frame(label)
    images = frames_along(case.image, case.slice_axis)
    predicted = method(images, {seed: truth[seed]})
    frames = images if images.ndim == 4 else grey_frames(images, {seed: truth[seed]})
    window = _window((truth | predicted).any(axis=0))
    chosen = {"seed": seed} | _typical_and_worst(predicted, truth, seed)
    for axes, (name, index) in zip(row, chosen.items(), strict=False):
        score = region_similarity(predicted[index], truth[index])
        axes.set_title(f"{name}, frame {index}" + ("" if name == "seed" else f", J {score:.2f}"), fontsize=9)
        _draw_frame(axes, frames[index][window], truth[index][window], predicted[index][window])
    for axes in row:
        axes.set(xticks=[], yticks=[])


def _typical_and_worst(predicted: Mask, truth: Mask, seed: int) -> dict[str, int]:
    """Frames with the median and the lowest J among those that count."""
    counted = np.flatnonzero((predicted | truth).any(axis=(1, 2)))
    ranked = sorted(
        (int(index) for index in counted if index != seed),
        key=lambda index: region_similarity(predicted[index], truth[index]),
    )
    return {"median": ranked[len(ranked) // 2], "lowest": ranked[0]} if ranked else {}


def _draw_frame(axes: Axes, image: NDArray[Any], truth: Mask, predicted: Mask) -> None:
    # Array axis 0 is the picture's x, as files store it.
    axes.imshow(image.swapaxes(0, 1), cmap="gray", vmin=0, vmax=255)
    for mask, colour in ((truth, TRUTH), (predicted, PREDICTED)):
        if mask.any() and not mask.all():
            axes.contour(mask.T, levels=[0.5], colors=[colour], linewidths=1.2)


def _window(mask: Mask) -> tuple[slice, slice]:
    """Bounding box of a (H, W) mask with a margin."""
    extents = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(max(0, int(one[0]) - MARGIN), int(one[-1]) + 1 + MARGIN) for one in extents)
    return rows, columns


def _colour(method: str, methods: Sequence[str]) -> str:
    if method == OURS:
        return COLOURS[0]
    others = [name for name in methods if name != OURS]
    return COLOURS[1 + others.index(method) % (len(COLOURS) - 1)]


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=3, fontsize=8)
    figure.savefig(path, dpi=130)
