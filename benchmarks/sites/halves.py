"""A labelled case cut in two along its slices, as two images of a site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import LabelledCase

Volume = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Half:
    """One half of a real case, saved among the site's images."""

    name: str
    truth: Volume  # (I, J, K), the chosen labels alone
    labels: dict[int, str]
    affine: Volume
    axis: int


def halves(case: LabelledCase, studies: Path, *, most: int) -> tuple[Half, Half]:
    """The case cut in the middle of its slices, with the largest labels that lie in both halves.

    Raises:
        ValueError: no label does.
    """
    middle = case.true_frames.shape[0] // 2
    smaller = {
        label: min(int((part == label).sum()) for part in (case.true_frames[:middle], case.true_frames[middle:]))
        for label in case.label_names
    }
    chosen = [label for label in sorted(smaller, key=lambda label: -smaller[label]) if smaller[label] > 0][:most]
    if not chosen:
        raise ValueError(f"{case.name}: no label lies in both halves of its slices; choose another case")
    affine = np.diag([*case.spacing_mm, 1.0])
    made = []
    for name, frames in (("first", slice(None, middle)), ("second", slice(middle, None))):
        where = tuple(frames if axis == case.slice_axis else slice(None) for axis in range(3))
        truth = np.where(np.isin(case.truth[where], chosen), case.truth[where], 0)
        nibabel.save(nibabel.Nifti1Image(case.image[where].astype(np.float32), affine), studies / f"{name}.nii.gz")
        labels = {label: case.label_names[label] for label in chosen}
        made.append(Half(name=name, truth=truth, labels=labels, affine=affine, axis=case.slice_axis))
    return made[0], made[1]
