"""What the demo works on: one image, the marks that a person would make on it, and the truth where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]

PAINTED = "painted"
STROKES = ("foreground_scribbles", "background_scribbles")  # names by which Slicer and the server know them


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Something to be followed through the volume."""

    name: str
    label: int  # its value in the label map that is saved
    truth: Mask | None = None  # (I, J, K)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One `POST /infer`: a label file on the image's grid, and what goes beside it."""

    model: str
    marks: Labels  # (I, J, K)
    params: dict[str, Any] = field(default_factory=dict)

    def marks_on(self, structure: Structure) -> dict[str, Mask]:
        """What this request marks about a structure, each (I, J, K): a painted mask, or strokes by their name."""
        ids = {entry["name"]: entry["id"] for entry in self.params["label_info"]}
        strokes = {name: self.marks == ids[name] for name in STROKES if name in ids}
        marks = {**strokes, PAINTED: self.marks == ids[structure.name]}
        return {kind: mask for kind, mask in marks.items() if mask.any()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image in a study folder, and everything the demo needs to ask about it."""

    image: Path
    axis: int  # array axis that plays the role of time
    structures: tuple[Structure, ...]
    request: Request
    with_slices: Callable[[Sequence[int]], Request] | None = (
        None  # these slices painted as well, by a person who knows the truth
    )

    @property
    def image_id(self) -> str:
        """The name by which the server knows the image."""
        return self.image.name.removesuffix(".gz").rsplit(".", 1)[0]
