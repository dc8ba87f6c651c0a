"""Pictures of what a training changed: of each image the slice on which before and after differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imos_engine.adapters.accepted import AcceptedVolume
from imos_engine.intensity import automatic_intensity
from imos_engine.metrics import region_similarity
from imos_engine.sequence import frames_along
from imos_engine.training.samples import overlay

MOST_ROWS = 8
SURROUNDINGS = 0.4  # of the labels' extent, shown on each side of them
SMALLEST_SIDE = 32  # pixels of what is shown
HEAD = 2  # volume axis that leads there
COLUMNS = ("image", "truth (outline)", "before", "after")

Labels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChangedSlice:
    """One slice of one image, cut to its labels, as people look at it."""

    frame: NDArray[np.float32]  # (3, H, W), 0 to 1
    truth: Labels  # (H, W)
    before: Labels
    after: Labels
    index: int  # of the slice, along the axis of propagation
    changed: int  # pixels that differ between before and after

    @property
    def overlaps(self) -> tuple[float, float]:
        """J, in the mean over what is labelled on this slice, before and after."""
        return _mean_similarity(self.before, self.truth), _mean_similarity(self.after, self.truth)


def most_changed(volume: AcceptedVolume, before: Labels, after: Labels) -> ChangedSlice | None:
    """The slice on which most pixels differ; None where nothing does.

    Shapes: before and after (T, H, W), frames along the volume's axis.
    """
    differing = np.count_nonzero(before != after, axis=(1, 2))
    index = int(differing.argmax())
    if not differing[index]:
        return None
    truth = frames_along(volume.labels, volume.axis)[index]
    where = _around((truth > 0) | (before[index] > 0) | (after[index] > 0))
    return ChangedSlice(
        frame=_upright(_shown(volume, index)[(slice(None), *where)], volume.axis),
        truth=_upright(np.asarray(truth[where]), volume.axis),
        before=_upright(before[index][where], volume.axis),
        after=_upright(after[index][where], volume.axis),
        index=index,
        changed=int(differing[index]),
    )


def draw_gallery(slices: Sequence[ChangedSlice], picture: Path) -> int:
    """Draw the slices that changed most, a row each; returns how many rows there are, and draws nothing if none.

    The outline is the truth in every column; what was carried is filled in the same colours.
    """
    chosen = sorted(slices, key=lambda one: -one.changed)[:MOST_ROWS]
    if not chosen:
        return 0
    figure = Figure(figsize=(2.2 * len(COLUMNS), 2.3 * len(chosen) + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(chosen), len(COLUMNS), squeeze=False)
    for row, one in zip(panels, chosen, strict=True):
        _draw_row(row, one)
    for axes, title in zip(panels[0], COLUMNS, strict=True):
        axes.set_title(title, fontsize="medium")
    figure.savefig(picture, format="png", dpi=100)
    return len(chosen)


def _draw_row(row: Sequence[Axes], one: ChangedSlice) -> None:
    nothing = np.zeros_like(one.truth)
    pictures = (
        overlay(one.frame, nothing, nothing),
        overlay(one.frame, nothing, one.truth),
        overlay(one.frame, one.before, one.truth),
        overlay(one.frame, one.after, one.truth),
    )
    before, after = one.overlaps
    captions = (f"slice {one.index}", "", f"J {before:.2f}", f"J {after:.2f}")
    for axes, pixels, caption in zip(row, pictures, captions, strict=True):
        axes.imshow(pixels, interpolation="nearest")
        axes.set_xlabel(caption, fontsize="small")
        axes.set_xticks([])
        axes.set_yticks([])


def _shown(volume: AcceptedVolume, index: int) -> NDArray[np.float32]:
    """One slice as a picture, (3, H, W), 0 to 1."""
    window = automatic_intensity(volume.images, volume.labels > 0)
    frame = window.apply(frames_along(volume.images, volume.axis)[index]) * window.deviation + window.mean
    colours = np.repeat(frame[None], 3, axis=0) if frame.ndim == 2 else frame.transpose(2, 0, 1)
    return np.asarray(colours.clip(0, 1), dtype=np.float32)


def _upright(pixels: NDArray[Any], axis: int) -> NDArray[Any]:
    """A slice across this axis with the patient's front or head up and the left at the right, or the front at the left.

    Shapes: pixels (..., H, W), whose axes lead, as the volume's, towards left, back and head.
    """
    turned = pixels.swapaxes(-2, -1)
    return (turned if axis == HEAD else np.flip(turned, -2)).copy()


def _around(marked: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of what is marked, with its surroundings."""
    rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
    side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    half = max(round(side * (0.5 + SURROUNDINGS)), SMALLEST_SIDE // 2)
    centres = (int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2)
    return tuple(slice(max(centre - half, 0), centre + half) for centre in centres)  # type: ignore[return-value]


def _mean_similarity(predicted: Labels, truth: Labels) -> float:
    values = sorted({*np.unique(truth).tolist(), *np.unique(predicted).tolist()} - {0})
    return float(np.mean([region_similarity(predicted == value, truth == value) for value in values]))
