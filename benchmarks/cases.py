"""Labelled cases on disk: folders with `image.nii.gz` or `frames/*.png`, `label.nii.gz` and `meta.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imos_engine.metrics import largest_frame

MIN_FRAMES = 3  # a label on fewer frames cannot show propagation
MIN_PIXELS = 30  # on its largest frame; below, J measures the voxel grid


@dataclass(frozen=True, kw_only=True)
class LabelledCase:
    """An image with its truth, both in the stored array's order."""

    name: str
    modality: str  # "CT", "MRI", "Ultrasound", ...
    image: NDArray[np.generic]  # (I, J, K) or (I, J, K, 3)
    truth: NDArray[np.integer]  # (I, J, K), 0 is background
    label_names: dict[int, str]
    spacing_mm: tuple[float, float, float]
    slice_axis: int  # array axis that plays the role of time

    @property
    def true_frames(self) -> NDArray[np.integer]:
        """Truth in carrying order, (T, H, W)."""
        return np.moveaxis(self.truth, self.slice_axis, 0)

    def label_mask(self, label: int) -> NDArray[np.bool_]:
        """One label's truth in carrying order, (T, H, W)."""
        return self.true_frames == label

    def seed_frame(self, label: int) -> int:
        """Index of the frame on which the label is largest."""
        return largest_frame(self.label_mask(label))


@dataclass(frozen=True)
class SkippedLabel:
    """A label that is not measured, and why."""

    case: str
    label: str
    reason: str


def find_cases(folder: Path) -> list[Path]:
    """Folders below `folder` that hold a labelled case, in name order."""
    cases = sorted(meta.parent for meta in folder.glob("*/meta.json") if (meta.parent / "label.nii.gz").exists())
    if not cases:
        raise ValueError(f"no labelled case in {folder}: expected folders with meta.json and label.nii.gz")
    return cases


def read_case(folder: Path) -> LabelledCase:
    meta = json.loads((folder / "meta.json").read_text())
    label_file = nib.load(folder / "label.nii.gz")
    truth = np.asanyarray(label_file.dataobj)
    image = _read_image(folder)
    if image.shape[:3] != truth.shape:
        raise ValueError(f"{folder.name}: image has shape {image.shape} and label {truth.shape}")
    return LabelledCase(
        name=meta["case"],
        modality=meta["modality"].split(" (")[0],
        image=image,
        truth=truth.astype(np.int32),
        label_names={int(label): name for label, name in meta["labels"].items()},
        spacing_mm=tuple(float(size) for size in meta["spacing_mm"][:3]),
        slice_axis="ijk".index(meta["sequence_axis"][0]),
    )


def measurable_labels(case: LabelledCase, *, limit: int | None = None) -> tuple[list[int], list[SkippedLabel]]:
    """Labels worth measuring, the largest first if there is a `limit`, and those that are not."""
    chosen: dict[int, int] = {}
    skipped = []
    for label, name in case.label_names.items():
        sizes = case.label_mask(label).sum(axis=(1, 2))
        frames = int(np.count_nonzero(sizes))
        if frames < MIN_FRAMES:
            skipped.append(SkippedLabel(case.name, name, f"on {frames} frames, needs {MIN_FRAMES}"))
        elif sizes.max() < MIN_PIXELS:
            skipped.append(SkippedLabel(case.name, name, f"largest frame has {sizes.max()} px, needs {MIN_PIXELS}"))
        else:
            chosen[label] = int(sizes.sum())
    ranked = sorted(chosen, key=lambda label: -chosen[label])[:limit]
    return sorted(ranked), skipped


def _read_image(folder: Path) -> NDArray[np.generic]:
    """The image as (I, J, K) or (I, J, K, 3); a picture's columns are axis 0, as image readers store them."""
    if (folder / "image.nii.gz").exists():
        return np.asanyarray(nib.load(folder / "image.nii.gz").dataobj)
    pictures = sorted((folder / "frames").glob("*.png"))
    if not pictures:
        raise ValueError(f"{folder.name} has neither image.nii.gz nor frames/*.png")
    return np.stack([np.asarray(Image.open(picture)).swapaxes(0, 1) for picture in pictures], axis=2)
