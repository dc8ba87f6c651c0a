"""What goes back beside the label map: `params.imos`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imos_engine.sequence import frames_along, slices_touched
from lib.infers.segmentation import Segmentation


def reply_params(
    result: Segmentation, *, network: Mapping[str, Any], adapter: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """The JSON part of a reply, as plain values."""
    frames = frames_along(result.labels, result.axis)
    touched = {name: slices_touched(frames == number, 0) for name, number in result.label_names.items()}
    return {
        "label_names": result.label_names,
        "imos": {
            "seeds": [asdict(report) for report in result.plan.reports],
            "confidence": {
                name: {str(index): slices[index] for index in touched[name] if index in slices}
                for name, slices in result.confidence.items()
            },
            "slices": {name: slice_lists(slices, result.presence[name]) for name, slices in result.confidence.items()},
            "extent": {name: [indices[0], indices[-1]] if indices else None for name, indices in touched.items()},
            "next_slice": next_slice(result),
            "network": dict(network),
            "adapter": dict(adapter),
            "device": device,
            "timings": result.seconds,
            "warnings": result.warnings,
        },
    }


def slice_lists(confidence: Mapping[int, float], presence: Mapping[int, float]) -> dict[str, Any]:
    """Both by slice as lists without gaps, rounded to two decimals; None where a slice was not computed."""
    first, last = min(confidence, default=0), max(confidence, default=-1)
    lists = {
        name: [None if index not in values else round(values[index], 2) for index in range(first, last + 1)]
        for name, values in (("confidence", confidence), ("presence", presence))
    }
    return {"first": first, **lists}


def next_slice(result: Segmentation) -> dict[str, Any] | None:
    """Where one more mark would help most: the least certain slice that has none, with or without the object."""
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
