"""What to correct next, in numbers for scripts and in a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imos_engine.propagation.next_slice import CarriedObject, GainConfig, NextFrame, next_frame, review_gain
from imos_engine.sequence import frames_along
from imos_engine.volume_file import Volume
from lib.infers.segmentation import Segmentation
from lib.transforms.orientation import plane_of, position_of

FRAME = "frame"  # the plane of a slice of a video
GUESSED = {"scribble": "strokes", "points": "points", "box": "a box"}  # modes of marks that are no mask, in words


@dataclass(frozen=True, kw_only=True)
class _Correction:
    """One more mark, and what it should win."""

    label: str
    slice: int
    gain: float  # Dice of the whole object, 0 to 1
    reason: str
    reviews: bool = False  # whether the slice was marked already


def next_slice(
    result: Segmentation, image: Volume, *, is_video: bool, is_first: bool = True, config: GainConfig | None = None
) -> tuple[dict[str, Any] | None, str]:
    """`params.imos.next_slice`, None where another correction is not worth it, and the sentence `advice`.

    `is_first`: nothing was answered to this client before. Only then a slice may be named that is marked already,
    because its mask was made from a few marks: whoever marks it again, or another one, has looked at it.
    """
    config = config or GainConfig()
    carried = {name: _carried(result, name) for name in result.confidence}
    further = [one for name in carried if (one := _further(name, carried[name], config)) is not None]
    reviews = [one for name in carried if (one := _review(result, name, carried[name], config)) is not None]
    best, chosen = _most(further), _most([*further, *(reviews if is_first else ())])
    if chosen is None:
        return None, _nothing_open(result)

    def place(one: _Correction) -> str:
        return _place(result.axis, one.slice, image, is_video=is_video)

    if chosen.gain < config.least:
        return None, (
            f"No further correction is worth it: the best one, {place(chosen)} of {chosen.label}, should gain less "
            f"than {config.least:g} Dice."
        )
    entry = {
        "slice": chosen.slice,
        "axis": result.axis,
        "label": chosen.label,
        "plane": FRAME if is_video else plane_of(result.axis, image.affine),
        "reason": chosen.reason,
        "gain": round(chosen.gain, 4),
    }
    advice = f"Correct {place(chosen)} of {chosen.label} next: {chosen.reason}."
    if chosen.reviews and best is not None:
        advice += f" If it is right already, go on with {place(best)} of {best.label}."
    return entry, advice


def _most(corrections: Sequence[_Correction]) -> _Correction | None:
    return max(corrections, key=lambda one: one.gain, default=None)


def _carried(result: Segmentation, name: str) -> CarriedObject:
    """An object as it came out along the reply's axis."""
    number = result.label_names[name]
    frames = frames_along(result.labels, result.axis)
    given = {seed.index for seed in result.plan.seeds if number in seed.objects}
    confidence = result.confidence[name]
    areas = {index: int(np.count_nonzero(frames[index] == number)) for index in confidence}
    return CarriedObject(areas=areas, confidence=confidence, given=given)


def _further(name: str, carried: CarriedObject, config: GainConfig) -> _Correction | None:
    """Where one more mark of an object should win most."""
    frame = next_frame(carried, config)
    if frame is None:
        return None
    return _Correction(label=name, slice=frame.frame, gain=frame.gain, reason=_reason(carried, frame))


def _review(result: Segmentation, name: str, carried: CarriedObject, config: GainConfig) -> _Correction | None:
    """The only mark of an object, when its mask was guessed from a few marks."""
    reports = [report for report in result.plan.reports if report.label == name]
    if len(reports) != 1 or reports[0].mode not in GUESSED or reports[0].axis != result.axis:
        return None
    if not carried.areas.keys() - carried.given:
        return None  # nothing was carried: there is nothing to win
    gain = review_gain(carried, config)
    reason = (
        f"its mask was made from {GUESSED[reports[0].mode]}, such masks reach a Dice of {config.prompted_dice:.2f} on "
        f"average, and all other slices follow it; painting it should gain {gain:.3f} Dice"
    )
    return _Correction(label=name, slice=reports[0].slice, gain=gain, reason=reason, reviews=True)


def _reason(carried: CarriedObject, frame: NextFrame) -> str:
    """Why this slice, with the numbers that decided it."""
    confidence = carried.confidence[frame.frame]
    here = (
        f"its mask should reach a Dice of {confidence:.2f}"
        if carried.areas[frame.frame]
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
