"""What the demo works on: one image, the marks that a person would make on it, and the truth where there is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imos_engine.sequence import slices_touched

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Something to be followed through the volume."""

    name: str
    label: int  # its value in the saved label map
    truth: Mask | None = None  # (I, J, K)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One `POST /infer`: a label file on the image's grid, and what goes beside it."""

    model: str
    marks: Labels  # (I, J, K)
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image in a study folder, and everything the demo needs to ask about it."""

    image: Path
    axis: int  # array axis that plays the role of time
    structures: tuple[Structure, ...]
    requests: tuple[Request, ...]

    def structure(self, name: str) -> Structure:
        """The structure of that name."""
        return next(structure for structure in self.structures if structure.name == name)

    def seed_slices(self, structure: Structure) -> list[int]:
        """Slices on which a person marked this structure."""
        touched: set[int] = set()
        for request in self.requests:
            selected = request.params.get("selected_label_name")
            marked = request.marks == structure.label if selected is None else request.marks > 0
            if selected in (None, structure.name):
                touched.update(slices_touched(marked, self.axis))
        return sorted(touched)
