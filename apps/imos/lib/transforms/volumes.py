"""Files in and out: the stored image, a label map on its grid, the reply."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imos_engine.volume_file import (
    GRID_TOLERANCE,
    Volume,
    VolumeFileError,
    grid_distance,
    read_volume,
    write_labels,
)
from lib.errors import RequestError
from lib.frames.volume import holds_frames, read_frame_volume

RESULT_EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True, kw_only=True)
class ResultFormat:
    """How the client wants the label map."""

    extension: str  # one of RESULT_EXTENSIONS
    dtype: str | None  # None: the smallest that holds every id
    compress: bool


def read_image(path: Path) -> Volume:
    """Read the image of a request, a volume or a video.

    Raises:
        RequestError: it cannot be read, or is not three-dimensional.
    """
    try:
        image = read_frame_volume(path) if holds_frames(path) else read_volume(path)
    except VolumeFileError as error:
        raise RequestError(f"the image cannot be used: {error}") from error
    if sum(side > 1 for side in image.shape) < 3:
        raise RequestError(
            f"the image is two-dimensional, {_shape(image.shape)} voxels; send a volume or video of at least two slices"
        )
    return image


def read_label_map(path: Path, image: Volume) -> npt.NDArray[Any]:
    """Read a label file (I, J, K) of whole numbers on the image's grid.

    Raises:
        RequestError: it cannot be read, lies on another grid, or holds other numbers.
    """
    try:
        label = read_volume(path)
    except VolumeFileError as error:
        raise RequestError(f"the label file cannot be used: {error}") from error
    if label.array.shape != image.shape:
        raise RequestError(
            f"the label file has {_shape(label.array.shape)} voxels and the image {_shape(image.shape)}; "
            "send the label on the grid of the image"
        )
    distance = grid_distance(label, image)
    if distance > GRID_TOLERANCE:
        raise RequestError(
            f"the label file has as many voxels as the image, but lies up to {distance:.3g} voxels away from it "
            "(another origin, spacing or orientation); send the label on the grid of the image, with its affine"
        )
    return _whole_numbers(label.array)


def write_result(labels: npt.NDArray[Any], image: Volume, wanted: ResultFormat) -> Path:
    """Write a reply's label map into a temporary file, which the caller removes.

    Raises:
        RequestError: the number type that was asked for cannot hold the ids.
    """
    largest = int(labels.max(initial=0))
    if wanted.dtype and np.issubdtype(wanted.dtype, np.integer) and largest > np.iinfo(wanted.dtype).max:
        raise RequestError(
            f"id {largest} does not fit into result_dtype {wanted.dtype}; ask for uint16, or use smaller ids"
        )
    with tempfile.NamedTemporaryFile(prefix="imos_", suffix=wanted.extension, delete=False) as file:
        path = Path(file.name)
    try:
        write_labels(path, labels, image, dtype=wanted.dtype, compress=wanted.compress)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def image_stamp(path: Path) -> Hashable:
    """Identity of a file's content: a file that was replaced is another image."""
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


def image_warnings(image: Volume) -> list[str]:
    """What is odd about an image that can be used nevertheless."""
    warnings = []
    values = image.array
    finite = np.isfinite(values) if values.dtype.kind == "f" else None  # whole numbers are: a film needs no map of them
    odd = 0 if finite is None else int(values.size - finite.sum())
    if odd:
        warnings.append(f"{odd} of {values.size} voxels are not finite numbers; they were taken as the darkest value")
        values = values[finite]
    if not values.size or values.min() == values.max():
        warnings.append("all voxels have the same value: nothing in this image guides the propagation")
    return warnings


def _whole_numbers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if np.issubdtype(values.dtype, np.integer):
        return values
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise RequestError("the label file holds fractions; send whole numbers, one per label, 0 for background")
    return values.astype(np.int32)


def _shape(sides: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in sides)
