"""Volumes on disk, in the voxel order of the file: nothing is ever reoriented."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
WRITTEN_SUFFIXES = (*NIFTI_SUFFIXES, ".nrrd", ".mha")  # formats of one file, which one rename replaces
GRID_TOLERANCE = 0.1  # voxels by which the corners of two equal grids may differ: formats round their headers
RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
# What nibabel and the decompressor below it raise for damaged files.
UNREADABLE = (
    ImageFileError, HeaderDataError, WrapStructError, zlib.error,
    OSError, EOFError, ValueError, OverflowError, MemoryError,
)  # fmt: skip


class VolumeFileError(ValueError):
    """A file that holds no volume we can use; the message says what it holds and what is needed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A stored image and where its voxels lie."""

    array: npt.NDArray[Any]  # (I, J, K) grey or (I, J, K, 3) colour, indexed as ITK and nibabel do
    spacing_mm: tuple[float, float, float]  # along array axes 0, 1, 2
    source: nibabel.Nifti1Image | SimpleITK.Image  # the opened file, which knows the grid in full

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along array axes 0, 1, 2."""
        first, second, third = self.array.shape[:3]
        return int(first), int(second), int(third)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """From voxel indices to millimetres right, anterior, superior (4, 4)."""
        if isinstance(self.source, SimpleITK.Image):
            return _ras_affine(self.source)
        return np.asarray(self.source.affine, dtype=np.float64)


def grid_distance(one: Volume, other: Volume) -> float:
    """How far apart the corners of two grids of one shape are, at most, in voxels of the second."""
    corners = np.array([(*corner, 1) for corner in product(*((0, side - 1) for side in other.shape))], dtype=float)
    there = np.linalg.lstsq(other.affine, one.affine @ corners.T, rcond=None)[0].T
    return float(np.abs(there - corners).max())


def read_volume(path: str | Path) -> Volume:
    """Read a 3-D image: NIfTI (RGB24 for colour video), NRRD or MetaImage.

    Raises:
        VolumeFileError: the file is absent, unreadable, of another kind, empty, or not three-dimensional.
    """
    path = Path(path)
    if not path.is_file():
        raise VolumeFileError(f"there is no file {path.name}")
    if path.name.endswith(NIFTI_SUFFIXES):
        volume = _read_nifti(path)
    elif path.name.endswith(ITK_SUFFIXES):
        volume = _read_itk(path)
    else:
        raise VolumeFileError(
            f"{path.name} is no image we read; give one of {', '.join(NIFTI_SUFFIXES + ITK_SUFFIXES)}"
        )
    if volume.array.ndim not in (3, 4) or min(volume.array.shape) < 1:
        raise VolumeFileError(
            f"{path.name} has shape {volume.array.shape}; a 3-D image with at least one voxel is needed"
        )
    if volume.array.ndim == 3 and sum(side > 1 for side in volume.array.shape) < 2:
        raise VolumeFileError(
            f"{path.name} has shape {volume.array.shape}; its slices need more than one row and column"
        )
    if volume.array.dtype.kind not in "biuf":
        raise VolumeFileError(f"{path.name} holds {volume.array.dtype} values; grey numbers or RGB24 are needed")
    return volume


def write_labels(
    path: str | Path,
    labels: npt.NDArray[np.integer[Any]],
    like: Volume,
    *,
    dtype: npt.DTypeLike | None = None,
    compress: bool = True,
) -> None:
    """Write a label map on the grid of `like`; a reader sees the old file or the new one, never half of one.

    Args:
        path: where to write; its suffix chooses the format, whichever the format of the image.
        labels: (I, J, K), non-negative.
        like: the image.
        dtype: number type on disk; None is the smallest unsigned one that holds every label.
        compress: whether NRRD and MetaImage are compressed (NIfTI's suffix says it).

    Raises:
        VolumeFileError: the labels lie on another grid or do not fit `dtype`, or the name's suffix is not one we write.
    """
    path = Path(path)
    if labels.shape != like.shape:
        raise VolumeFileError(f"labels have shape {labels.shape}, the image {like.shape}; they must lie on its grid")
    suffix = next((suffix for suffix in WRITTEN_SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise VolumeFileError(f"{path.name} is no name we write; end it in {', '.join(WRITTEN_SUFFIXES)}")
    compact = _compact(labels, dtype)
    beside = path.with_name(f".{path.name.removesuffix(suffix)}.{os.getpid()}.partial{suffix}")
    try:
        if suffix in NIFTI_SUFFIXES:
            nibabel.save(_nifti_like(compact, like), beside)
        else:
            SimpleITK.WriteImage(_itk_like(compact, like), str(beside), useCompression=compress)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _compact(labels: npt.NDArray[np.integer[Any]], dtype: npt.DTypeLike | None) -> npt.NDArray[Any]:
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    stored = np.min_scalar_type(high) if dtype is None else np.dtype(dtype)
    if low < 0:
        raise VolumeFileError(f"labels must be 0 or more, got {low}")
    compact = np.ascontiguousarray(labels.astype(stored))
    if int(compact.max(initial=0)) != high:
        raise VolumeFileError(f"labels up to {high} do not fit {stored}; store them in a wider type")
    return compact


def _read_nifti(path: Path) -> Volume:
    try:
        image = nibabel.Nifti1Image.from_filename(path)
        stored = np.asanyarray(image.dataobj)
    except UNREADABLE as error:
        raise VolumeFileError(f"{path.name} cannot be read as NIfTI: {error}") from error
    if stored.ndim == 4 and stored.shape[3] == 1:
        stored = stored[..., 0]
    if stored.ndim > 3:
        raise VolumeFileError(f"{path.name} has shape {stored.shape}; select one 3-D image, or store colour as RGB24")
    if stored.ndim < 3:
        raise VolumeFileError(f"{path.name} has shape {stored.shape}; a 3-D image is needed")
    if stored.dtype == RGB24:
        stored = np.stack([stored[channel] for channel in ("R", "G", "B")], axis=-1)
    spacing = tuple(float(zoom) for zoom in image.header.get_zooms()[:3])
    return Volume(array=stored, spacing_mm=(spacing[0], spacing[1], spacing[2]), source=image)


def _read_itk(path: Path) -> Volume:
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise VolumeFileError(
            f"{path.name} cannot be read as an image: {str(error).splitlines()[-1].strip()}"
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() not in (1, 3):
        components = image.GetNumberOfComponentsPerPixel()
        raise VolumeFileError(
            f"{path.name} has {image.GetDimension()} dimensions and {components} values a voxel; "
            "a 3-D image with 1 (grey) or 3 (colour) values is needed"
        )
    spacing = image.GetSpacing()
    array = np.moveaxis(SimpleITK.GetArrayFromImage(image), (0, 1, 2), (2, 1, 0))  # ITK hands out (K, J, I)
    return Volume(array=array, spacing_mm=(spacing[0], spacing[1], spacing[2]), source=image)


def _nifti_like(labels: npt.NDArray[Any], like: Volume) -> nibabel.Nifti1Image:
    if isinstance(like.source, SimpleITK.Image):
        return nibabel.Nifti1Image(labels, _ras_affine(like.source))
    image = nibabel.Nifti1Image(labels, None)
    image.header.set_xyzt_units(*like.source.header.get_xyzt_units())
    image.header.set_zooms(like.spacing_mm)
    # Both of NIfTI's transforms with their codes: readers differ in which one they believe.
    sform, sform_code = like.source.get_sform(coded=True)
    qform, qform_code = like.source.get_qform(coded=True)
    if not sform_code and not qform_code:
        image.set_sform(like.source.affine, code=0)
        return nibabel.Nifti1Image(labels, like.source.affine, image.header)
    image.set_qform(qform, code=int(qform_code))
    image.set_sform(sform, code=int(sform_code))
    return image


def _itk_like(labels: npt.NDArray[Any], like: Volume) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.T))
    if isinstance(like.source, SimpleITK.Image):
        image.CopyInformation(like.source)
        return image
    # NIfTI's axes point right, anterior, superior; ITK's left, posterior, superior.
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ like.source.affine
    columns = lps[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def _ras_affine(image: SimpleITK.Image) -> npt.NDArray[np.float64]:
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    flipped: npt.NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return flipped
