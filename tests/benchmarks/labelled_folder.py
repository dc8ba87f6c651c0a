"""A folder of small labelled cases, laid out as the benchmarks read them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

SHAPE = (40, 32, 6)


def disk_volume(radii: list[float], label: int, *, centre: tuple[int, int] = (20, 16)) -> np.ndarray:
    """One disk per slice, (I, J, K); radius 0 leaves a slice empty."""
    rows, columns = np.indices(SHAPE[:2])
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return np.stack([np.where((distance < radius) & (radius > 0), label, 0) for radius in radii], axis=2).astype(
        np.uint8
    )


def write_case(
    folder: Path, name: str, label: np.ndarray, *, modality: str = "MRI", axis: str = "k", video: bool = False
) -> None:
    case = folder / name
    case.mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 80, label.shape).astype(np.uint8) + 90 * (label > 0).astype(np.uint8)
    if video:
        (case / "frames").mkdir()
        for index in range(label.shape[2]):
            picture = np.repeat(image[:, :, index].T[..., None], 3, axis=2)
            Image.fromarray(picture).save(case / "frames" / f"{index:05d}.png")
    else:
        nib.save(nib.Nifti1Image(image, np.eye(4)), case / "image.nii.gz")
    nib.save(nib.Nifti1Image(label, np.eye(4)), case / "label.nii.gz")
    meta = {
        "case": name,
        "modality": modality,
        "sequence_axis": f"{axis} (somehow)",
        "spacing_mm": [1.0, 1.0, 2.0],
        "labels": {str(value): f"organ {value}" for value in np.unique(label) if value},
    }
    (case / "meta.json").write_text(json.dumps(meta))
