"""Objects that a request protects: they come back as they are, and nothing takes their voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lib.errors import RequestError, closest, listed
from lib.infers.marks import Labels, Marks, Mask
from lib.infers.request import InferRequest
from lib.sessions.step import Clicks, ObjectState


def protected_masks(
    request: InferRequest, label_map: Labels | None, known: Mapping[str, ObjectState]
) -> dict[str, Mask]:
    """Where every protected object is, (I, J, K): in the label file if it is there, else as it was answered last.

    Shapes: label_map (I, J, K).

    Raises:
        RequestError: one is in neither, or is to be changed by the same request.
    """
    numbers = {name: number for number, name in request.segments.items()} | dict(request.objects)
    masks: dict[str, Mask] = {}
    for name in request.options.protected:
        number = numbers.get(name)
        painted = label_map == number if label_map is not None and number is not None else None
        if painted is not None and painted.any():
            masks[name] = painted
        elif name in known:
            masks[name] = known[name].answer.unpack()
        else:
            names = [*numbers, *known]
            raise RequestError(
                f"protected names {name!r}{closest(name, names)}, which is neither in the label file nor was answered "
                f"before; known are {listed(names) or 'none'}: send its voxels in a label file with label_info"
            )
        if name == request.current or name in request.clicks:
            raise RequestError(f"{name!r} is both protected and marked; send one or the other")
    return masks


def unmarked(marks: Sequence[Marks], protected: Mapping[str, Mask]) -> list[Marks]:
    """The marks without those of protected objects."""
    return [
        replace(entry, painted=None, strokes=None, strokes_background=None, clicks=Clicks())
        if entry.name in protected
        else entry
        for entry in marks
    ]


def joined(masks: Mapping[str, Mask]) -> Mask | None:
    """Every protected voxel (I, J, K), None if nothing is protected."""
    return np.logical_or.reduce(list(masks.values())) if masks else None
