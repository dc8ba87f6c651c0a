"""What to correct next, in numbers for scripts and in a sentence for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from imos_engine.propagation.next_slice import CarriedObject, GainConfig, NextFrame, next_frame
from imos_engine.sequence import frames_along
from imos_engine.volume_file import Volume
from lib.infers.segmentation import Segmentation
from lib.transforms.orientation import plane_of, position_of

FRAME = "frame"  # the plane of a slice of a video


def next_slice(
    result: Segmentation, image: Volume, *, is_video: bool, config: GainConfig | None = None
) -> tuple[dict[str, Any] | None, str]:
    """`params.imos.next_slice`, None where another correction is not worth it, and the sentence `advice`."""
    config = config or GainConfig()
    found = [(name, frame) for name in result.confidence if (frame := _next_frame(result, name, config)) is not None]
    if not found:
        return None, _nothing_open(result)
    name, frame = max(found, key=lambda one: one[1].gain)
    place = _place(result.axis, frame.frame, image, is_video=is_video)
    if frame.gain < config.least:
        return None, (
            f"No further correction is worth it: the best one, {place} of {name}, should gain less than "
            f"{config.least:g} Dice."
        )
    reason = _reason(result, name, frame, config)
    entry = {
        "slice": frame.frame,
        "axis": result.axis,
        "label": name,
        "plane": FRAME if is_video else plane_of(result.axis, image.affine),
        "reason": reason,
        "gain": round(frame.gain, 4),
    }
    return entry, f"Correct {place} of {name} next: {reason}."


def _next_frame(result: Segmentation, name: str, config: GainConfig) -> NextFrame | None:
    """Where one more mark of an object should win most."""
    number = result.label_names[name]
    frames = frames_along(result.labels, result.axis)
    confidence = result.confidence[name]
    given = {seed.index for seed in result.plan.seeds if number in seed.objects}
    areas = {index: int(np.count_nonzero(frames[index] == number)) for index in confidence}
    return next_frame(CarriedObject(areas=areas, confidence=confidence, given=given), config)


def _reason(result: Segmentation, name: str, frame: NextFrame, config: GainConfig) -> str:
    """Why this slice, with the numbers that decided it."""
    confidence = result.confidence[name][frame.frame]
    holds = (frames_along(result.labels, result.axis)[frame.frame] == result.label_names[name]).any()
    here = (
        f"its mask should reach a Dice of {confidence:.2f}"
        if holds
        else f"it is empty, and should not be with a chance of {1 - confidence:.0%}"
    )
    helped = "" if frame.first == frame.last else f", and slices {frame.first} to {frame.last} follow it"
    return f"{here}{helped}; a correction should gain {frame.gain:.3f} Dice"


def _nothing_open(result: Segmentation) -> str:
    marked = {seed.index for seed in result.plan.seeds}
    if all(set(slices) <= marked for slices in result.confidence.values()):
        return "No further correction is worth it: every slice that was asked for is marked."
    return "No further correction is worth it: nothing is in doubt on the slices that are not marked."


def _place(axis: int, index: int, image: Volume, *, is_video: bool) -> str:
    """A slice as people find it in a viewer."""
    if is_video:
        return f"frame {index}"
    position = position_of(axis, index, image.affine, image.shape)
    return f"slice {index} ({plane_of(axis, image.affine)}{'' if position is None else f', {position}'})"
