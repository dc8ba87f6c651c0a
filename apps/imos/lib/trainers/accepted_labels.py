"""The datastore's accepted labels as the engine learns from them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from imos_engine.adapters.accepted import AcceptedVolume, usable_axes
from imos_engine.sequence import choose_slice_axis
from imos_engine.volume_file import Volume, VolumeFileError
from lib.datastore.structures import named_structures
from lib.errors import RequestError
from lib.frames.volume import FRAME_AXIS, frame_axis
from lib.transforms.orientation import FrameOrientation, patient_order
from lib.transforms.volumes import read_image, read_label_map

logger = logging.getLogger(__name__)

MOST_LABELS = 255  # per image: their numbers fit into a byte


def accepted_volumes(datastore: Datastore, folder: Path) -> Iterator[AcceptedVolume]:
    """Every image with a final label; what cannot be used is left out, and the log says why.

    Args:
        datastore: where images and labels lie.
        folder: an empty one, in which voxels are kept while they are needed: memory holds one image at a time.
    """
    for number, image_id in enumerate(sorted(datastore.list_images())):
        label_id = datastore.get_label_by_image_id(image_id, DefaultLabelTag.FINAL.value)
        if not label_id:
            continue
        try:
            yield accepted_volume(datastore, image_id, folder / str(number))
        except (RequestError, VolumeFileError, ValueError, OSError) as error:
            logger.warning("The label of image %d of the datastore is left out: %s", number, error)


def accepted_volume(datastore: Datastore, image_id: str, folder: Path) -> AcceptedVolume:
    """One image with its final label, and where that differs from what was proposed.

    Raises:
        RequestError: image or label cannot be read, or do not lie on one grid.
        ValueError: the label holds more structures than can be learned.
    """
    path = Path(datastore.get_image_uri(image_id))
    image = read_image(path)
    final = _label_map(datastore, image_id, DefaultLabelTag.FINAL.value, image)
    told = _told(datastore, image_id, DefaultLabelTag.FINAL.value)
    structures = named_structures(replace(image, array=final), told)
    if len(structures.names) > MOST_LABELS:
        raise ValueError(f"the label holds {len(structures.names)} structures; at most {MOST_LABELS} can be learned")
    labels = np.zeros(final.shape, dtype=np.uint8)
    for place, value in enumerate(structures.names.values(), start=1):
        labels[final == value] = place
    is_video = frame_axis(path) is not None
    axis = FRAME_AXIS if is_video else choose_slice_axis(np.zeros(image.shape, dtype=np.uint8), image.spacing_mm)
    axes = (axis,) if is_video else usable_axes(image.shape, image.spacing_mm, axis)
    changed = _changed(datastore, image_id, image, final)
    folder.mkdir(parents=True)
    order = patient_order(image.affine)
    return AcceptedVolume(
        images=_on_disk(folder / "images.npy", as_shown(image.array, image.affine)),
        labels=_on_disk(folder / "labels.npy", as_shown(labels, image.affine)),
        names=dict(enumerate(structures.names, start=1)),
        axis=order.index(axis),
        axes=tuple(sorted(order.index(one) for one in axes)),
        changed=None if changed is None else _on_disk(folder / "changed.npy", as_shown(changed, image.affine)),
    ).identified()


def as_shown(array: npt.NDArray[Any], affine: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Voxels in the order in which networks are shown every volume (a view, no copy).

    Shapes: array (I, J, K) or (I, J, K, 3), affine (4, 4). Returns its axes towards left, back and head, in this order.
    """
    order = patient_order(affine)
    moved = array.transpose((*order, *range(3, array.ndim)))
    steps = (-1 if FrameOrientation.along(axis, affine).reverse_time else 1 for axis in order)
    return moved[tuple(slice(None, None, step) for step in steps)]


def _changed(
    datastore: Datastore, image_id: str, image: Volume, final: npt.NDArray[Any]
) -> npt.NDArray[np.bool_] | None:
    """Where the expert changed what was proposed; None where no proposal is kept, or none that can be compared."""
    original = DefaultLabelTag.ORIGINAL.value
    if not datastore.get_label_by_image_id(image_id, original):
        return None
    try:
        return _label_map(datastore, image_id, original, image) != final
    except (RequestError, VolumeFileError, OSError) as error:
        logger.warning("A proposal cannot be compared with its final label: %s", error)
        return None


def _label_map(datastore: Datastore, image_id: str, tag: str, image: Volume) -> npt.NDArray[Any]:
    label_id = datastore.get_label_by_image_id(image_id, tag)
    return read_label_map(Path(datastore.get_label_uri(label_id, tag)), image)


def _told(datastore: Datastore, image_id: str, tag: str) -> dict[str, Any]:
    """What was kept of the names: beside the label, or in the reply that it was saved from."""
    info = datastore.get_label_info(datastore.get_label_by_image_id(image_id, tag), tag) or {}
    return {**(info.get("params") or {}), **info}


def _on_disk(path: Path, array: npt.NDArray[Any]) -> Any:
    np.save(path, array)
    return np.load(path, mmap_mode="r")
