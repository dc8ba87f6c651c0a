"""Whether confidence can be taken at its word: calibration error, rank correlation, and the diagram of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import spearmanr

BINS = 10  # of confidence, equally wide

Numbers = NDArray[np.float64]


def binned(expected: Numbers, true: Numbers) -> tuple[Numbers, Numbers, NDArray[np.int64]]:
    """Per bin that holds anything: mean confidence, mean true score, and how many. Shapes: both (N,), 0 to 1."""
    bins = np.minimum((expected * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    held = counts > 0
    means = (np.bincount(bins, weights=values, minlength=BINS)[held] / counts[held] for values in (expected, true))
    return *means, counts[held]  # type: ignore[return-value]


def calibration_error(expected: Numbers, true: Numbers) -> float:
    """Mean distance of confidence from the true score of slices with such confidence, 0 to 1; nan for no slice."""
    if not len(expected):
        return float("nan")
    confidence, score, counts = binned(expected, true)
    return float(np.average(np.abs(confidence - score), weights=counts))


def rank_correlation(expected: Numbers, true: Numbers) -> float:
    """Spearman's correlation, -1 to 1: whether less sure slices are worse; nan where either never changes."""
    if len(expected) < 2 or np.ptp(expected) == 0 or np.ptp(true) == 0:
        return float("nan")
    return float(spearmanr(expected, true).statistic)


def draw_reliability(expected: Numbers, true: Numbers, picture: Path) -> None:
    """True score against confidence, bin by bin, with the number of slices in each; the diagonal is perfect."""
    confidence, score, counts = binned(expected, true)
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    axes.scatter(expected, true, s=4, color="0.75", zorder=0, label="slices")
    axes.plot(confidence, score, marker="o", linewidth=1.5, label="mean of a bin")
    for x, y, count in zip(confidence, score, counts, strict=True):
        axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(4, -10), fontsize="small")
    axes.set(xlabel="confidence", ylabel="true Dice", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left")
    figure.savefig(picture, format="png", dpi=100)
