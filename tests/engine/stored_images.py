"""Images on disk in every format and orientation, written and read by the formats' own libraries."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

SHAPE = (5, 6, 7)
SPACING = (0.8, 1.5, 3.0)
CORNERS = [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (4, 5, 6), (2, 3, 1)]


def rotation(degrees: float, axes: tuple[int, int]) -> np.ndarray:
    matrix, angle = np.eye(3), np.deg2rad(degrees)
    first, second = axes
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def affine_of(directions: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions @ np.diag(SPACING)
    affine[:3, 3] = (-31.0, 17.5, 120.0)
    return affine


RIGID = {
    "straight": affine_of(np.eye(3)),
    "flipped": affine_of(np.diag([-1.0, 1.0, -1.0])),
    "mirrored": affine_of(np.diag([-1.0, 1.0, 1.0])),
    "permuted": affine_of(np.eye(3)[[2, 0, 1]]),
    "rotated": affine_of(rotation(25, (0, 1)) @ rotation(-40, (1, 2))),
    "rotated and flipped": affine_of(rotation(70, (0, 2)) @ np.diag([1.0, -1.0, 1.0])),
}
SHEARED = affine_of(np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]]))
NIFTI = [".nii", ".nii.gz"]
ITK = [".nrrd", ".mha"]


def image_values() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)


def label_values() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)


def store_image(folder: Path, suffix: str, affine: np.ndarray, values: np.ndarray | None = None) -> Path:
    """An image written by the format's own library, not by the code under test."""
    path, values = folder / f"image{suffix}", image_values() if values is None else values
    if suffix in NIFTI:
        nibabel.save(nibabel.Nifti1Image(values, affine), path)
    else:
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T))
        lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
        spacing = np.linalg.norm(lps, axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps / spacing).ravel().tolist())
        image.SetOrigin((np.array([-1.0, -1.0, 1.0]) * affine[:3, 3]).tolist())
        SimpleITK.WriteImage(image, str(path))
    return path


def places_by_nibabel(path: Path) -> np.ndarray:
    """Millimetres right, anterior, superior of some voxels."""
    return nibabel.affines.apply_affine(nibabel.load(path).affine, CORNERS)


def places_by_itk(path: Path) -> np.ndarray:
    image = SimpleITK.ReadImage(str(path))
    return np.array([image.TransformIndexToPhysicalPoint(corner) for corner in CORNERS]) * [-1, -1, 1]


def places(path: Path) -> np.ndarray:
    return places_by_nibabel(path) if path.name.endswith(tuple(NIFTI)) else places_by_itk(path)


def voxels(path: Path) -> np.ndarray:
    """Stored values indexed i, j, k."""
    if path.name.endswith(tuple(NIFTI)):
        return np.asanyarray(nibabel.load(path).dataobj)
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T
