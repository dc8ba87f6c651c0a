"""What goes back beside the label map: `params.imos`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imos_engine.sequence import frames_along, slices_touched
from lib.infers.marks import Mask
from lib.infers.segmentation import Segmentation

NO_ADAPTER = {"name": "none", "version": None, "sha256": None}


def reply_params(result: Segmentation, *, network: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The JSON part of a reply, as plain values."""
    frames = frames_along(result.labels, result.axis)
    extent = {name: _extent(frames == number) for name, number in result.label_names.items()}
    return {
        "label_names": result.label_names,
        "imos": {
            "seeds": [asdict(report) for report in result.plan.reports],
            "confidence": {
                name: {str(index): value for index, value in sorted(slices.items())}
                for name, slices in result.confidence.items()
            },
            "extent": extent,
            "next_slice": next_slice(result),
            "network": dict(network),
            "adapter": dict(NO_ADAPTER),
            "device": device,
            "timings": result.seconds,
            "warnings": result.warnings,
        },
    }


def next_slice(result: Segmentation) -> dict[str, Any] | None:
    """Where one more mark would help most: the least certain slice that has none."""
    seeded = {(report.label, report.slice) for report in result.plan.reports}
    open_slices = [
        (value, index, name)
        for name, slices in result.confidence.items()
        for index, value in slices.items()
        if (name, index) not in seeded
    ]
    if not open_slices:
        return None
    value, index, name = min(open_slices)
    return {"slice": index, "axis": result.axis, "label": name, "reason": f"lowest confidence, {value:.2f}"}


def _extent(frames: Mask) -> list[int] | None:
    """First and last slice that holds an object; None when none does. Shapes: frames (T, H, W) bool."""
    touched = slices_touched(frames, 0)
    return [touched[0], touched[-1]] if touched else None
