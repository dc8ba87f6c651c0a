"""Where to begin on an image: the slice and the plane that a strategy returns beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from monailabel.interfaces.datastore import Datastore

from imos_engine.sequence import choose_slice_axis
from imos_engine.volume_file import NIFTI_SUFFIXES, UNREADABLE, VolumeFileError, read_volume
from lib.errors import RequestError
from lib.frames.volume import FRAME_AXIS, frame_axis
from lib.scoring.quality import known_scores
from lib.transforms.orientation import plane_of

FRAME = "frame"  # the plane of a slice of a video


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where voxels lie."""

    shape: tuple[int, ...]  # along array axes 0, 1, 2
    spacing_mm: tuple[float, ...]
    affine: npt.NDArray[np.float64]  # (4, 4), from voxels to millimetres right, anterior, superior


def read_grid(path: Path) -> Grid:
    """The grid of an image; of NIfTI from the header alone, for the server waits meanwhile."""
    if path.name.endswith(NIFTI_SUFFIXES):
        image = nibabel.Nifti1Image.from_filename(path)
        spacing = tuple(float(zoom) for zoom in image.header.get_zooms()[:3])
        return Grid(shape=image.shape[:3], spacing_mm=spacing, affine=np.asarray(image.affine))
    volume = read_volume(path)
    return Grid(shape=volume.shape, spacing_mm=volume.spacing_mm, affine=volume.affine)


def starting_point(datastore: Datastore, image_id: str) -> dict[str, Any]:
    """The least certain slice of what was proposed; where nothing was, the middle of the volume.

    Returns: {slice, axis, plane}; empty for an image that cannot be read, which opening it will explain.
    """
    try:
        path = Path(datastore.get_image_uri(image_id))
        grid = read_grid(path)
        is_video = frame_axis(path) is not None
    except (*UNREADABLE, VolumeFileError, RequestError):
        return {}
    weakest: Mapping[str, Any] = known_scores(datastore, image_id).get("weakest") or {}
    axis = weakest.get("axis")
    if axis is None:
        coarsest = choose_slice_axis(np.zeros((1, 1, 1), dtype=np.uint8), grid.spacing_mm)
        axis = FRAME_AXIS if is_video else coarsest
    index = weakest.get("slice", grid.shape[axis] // 2)
    plane = FRAME if is_video else plane_of(axis, grid.affine)
    return {"slice": int(index), "axis": int(axis), "plane": plane}
