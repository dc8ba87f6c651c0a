"""Where to begin on an image: the slice and the plane that a strategy returns beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore

from imos_engine.sequence import choose_slice_axis
from imos_engine.volume_file import VolumeFileError, read_volume
from lib.errors import RequestError
from lib.frames.volume import FRAME_AXIS, frame_axis
from lib.scoring.quality import known_scores
from lib.transforms.orientation import plane_of

FRAME = "frame"  # the plane of a slice of a video


def starting_point(datastore: Datastore, image_id: str) -> dict[str, Any]:
    """The least certain slice of what was proposed; where nothing was, the middle of the volume.

    Returns: {slice, axis, plane}; empty for an image that cannot be read, which opening it will explain.
    """
    try:
        path = Path(datastore.get_image_uri(image_id))
        volume = read_volume(path)
        is_video = frame_axis(path) is not None
    except (VolumeFileError, RequestError, OSError):
        return {}
    weakest: Mapping[str, Any] = known_scores(datastore, image_id).get("weakest") or {}
    axis = weakest.get("axis")
    if axis is None:
        coarsest = choose_slice_axis(np.zeros(volume.shape, dtype=np.uint8), volume.spacing_mm)
        axis = FRAME_AXIS if is_video else coarsest
    index = weakest.get("slice", volume.shape[axis] // 2)
    plane = FRAME if is_video else plane_of(axis, volume.affine)
    return {"slice": int(index), "axis": int(axis), "plane": plane}
