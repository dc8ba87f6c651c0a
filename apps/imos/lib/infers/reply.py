"""What goes back beside the label map: `params.imos`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imos_engine.sequence import frames_along, slices_touched
from imos_engine.volume_file import Volume
from lib.infers.next_slice import next_slice
from lib.infers.segmentation import Segmentation


def reply_params(
    result: Segmentation,
    image: Volume,
    *,
    is_video: bool,
    network: Mapping[str, Any],
    adapter: Mapping[str, Any],
    device: str,
    history: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON part of a reply, as plain values; the sentence comes first, where Slicer's console shows it."""
    is_first = history is None or history["step"] <= 1
    suggestion, advice = next_slice(result, image, is_video=is_video, is_first=is_first)
    frames = frames_along(result.labels, result.axis)
    touched = {name: slices_touched(frames == number, 0) for name, number in result.label_names.items()}
    return {
        "advice": advice,
        "label_names": result.label_names,
        "imos": {
            "seeds": [asdict(report) for report in result.plan.reports],
            "confidence": {
                name: {str(index): slices[index] for index in touched[name] if index in slices}
                for name, slices in result.confidence.items()
            },
            "slices": {name: slice_lists(slices, result.presence[name]) for name, slices in result.confidence.items()},
            "extent": {name: [indices[0], indices[-1]] if indices else None for name, indices in touched.items()},
            "recomputed": {name: list(slices) for name, slices in result.recomputed.items()},
            "history": None if history is None else dict(history),
            "next_slice": suggestion,
            "advice": advice,
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
