"""The datastores of the app: MONAI Label's, with labels that grow by one structure after the other.

A folder keeps one label map per image, a DICOMweb server one DICOM SEG per series. MONAI Label replaces the whole label
whenever one is saved; here a saved structure replaces the one of its name and leaves the others alone.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.datastore.utils.convert import binary_to_image
from monailabel.datastore.utils.dicom import dicom_web_download_series
from monailabel.interfaces.datastore import DefaultLabelTag

from imos_engine.volume_file import GRID_TOLERANCE, Volume, VolumeFileError, grid_distance, read_volume, write_labels
from lib.datastore.dicom_series import DicomSeries
from lib.datastore.frame_datastore import FrameDatastore
from lib.datastore.segmentation_object import NoSegmentationError, read_slices, refuse_other_grid, segment_name
from lib.datastore.segmentation_shelf import SegmentationShelf, Shelved
from lib.datastore.structures import (
    Origin,
    Saved,
    Structures,
    joined,
    named_structures,
    shared_warnings,
    structures_of,
)
from lib.datastore.whole_files import WholeFiles
from lib.errors import RequestError

logger = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value


class Labelled(WholeFiles):
    """A datastore that adds structures to the final label of an image."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._saving = threading.Lock()  # what one request reads, joins and writes, no other may change meanwhile
        super().__init__(*arguments, **options)

    def save_structures(
        self, image_id: str, new: Structures, volume: Volume, *, over: bool = False, origin: Origin
    ) -> Saved:
        """Add structures to the final label of an image.

        Args:
            image_id: of an image that the datastore holds.
            new: the structures; one without a voxel is left out, and said so.
            volume: their grid, which is the image's.
            over: whether they take voxels that others hold in the label map.
            origin: what made them.

        Raises:
            RequestError: the label saved before lies on another grid, or the store failed.
        """
        empty = [name for name in new.names if not new.mask(name).any()]
        new = Structures(labels=new.labels, names={name: new.names[name] for name in new.names if name not in empty})
        warnings = tuple(f"{name!r} has no voxel; it was not saved" for name in empty)
        with self._saving:
            if new.names:
                return self._add(image_id, new, volume, over=over, origin=origin, warnings=warnings)
            saved = self._saved(image_id, volume)
            return Saved(label=image_id, names=saved.names if saved else {}, warnings=warnings)

    def _add(
        self, image_id: str, new: Structures, volume: Volume, *, over: bool, origin: Origin, warnings: tuple[str, ...]
    ) -> Saved:
        together, shared = joined(self._saved(image_id, volume), new, over=over)
        self._write(image_id, together, volume, origin)
        return Saved(label=image_id, names=together.names, warnings=(*warnings, *shared_warnings(shared, over=over)))

    def _saved(self, image_id: str, volume: Volume) -> Structures | None:
        """What the final label holds."""
        path = LocalDatastore.get_label_uri(self, image_id, FINAL)
        if not path or not Path(path).is_file():
            return None
        try:
            label = read_volume(path)
        except VolumeFileError as error:
            raise RequestError(f"the saved label cannot be read: {error}; save anew after you have moved it") from error
        if label.shape != volume.shape or grid_distance(label, volume) > GRID_TOLERANCE:
            raise RequestError(
                f"the saved label {Path(path).name} lies on another grid than the image; move it away, then save again"
            )
        return named_structures(label, self.get_label_info(image_id, FINAL))

    def _write(self, image_id: str, structures: Structures, volume: Volume, origin: Origin) -> None:
        with tempfile.TemporaryDirectory(prefix="imos_") as folder:
            path = Path(folder, f"label{self._label_suffix(image_id)}")
            write_labels(path, structures.labels, volume)
            told = {"label_names": dict(structures.names), "network": origin.network, "version": origin.version}
            WholeFiles.save_label(self, image_id, str(path), FINAL, told)

    def _label_suffix(self, image_id: str) -> str:
        """The kind of file that the label is already, else NIfTI."""
        name = Path(LocalDatastore.get_label_uri(self, image_id, FINAL) or "").name
        return next((suffix for suffix in (".nrrd", ".nii") if name.endswith(suffix)), ".nii.gz")


class LabelledFolder(FrameDatastore, Labelled):
    """A folder of images; the final label of each is one label map."""


class LabelledSeries(DicomSeries, Labelled):
    """The series of a DICOMweb server; the final label of each is a DICOM SEG beside it, and a label map here."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._shelf = SegmentationShelf(self._client)

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any], label_id: str = ""
    ) -> str:
        """Keep a label file as a client sends it; the final one also as DICOM SEG.

        Raises:
            RequestError: it is no label map, or the DICOMweb server failed.
        """
        if label_filename.endswith(".bin"):
            label_filename = binary_to_image(self.get_image_uri(image_id), label_filename)
        told = dict(label_info or {})
        with self._saving:
            if label_tag == FINAL:
                told["SeriesInstanceUID"] = self._segmentation_of(image_id, Path(label_filename), told)
            return WholeFiles.save_label(self, image_id, label_filename, label_tag, told)

    def get_label_uri(self, label_id: str, label_tag: str, image_id: str = "") -> str:
        """Path of a label that is kept here; of a segmentation of `image_id` that is not, once it is downloaded."""
        kept: str = LocalDatastore.get_label_uri(self, image_id or label_id, label_tag)
        return kept if kept or not image_id else str(super().get_label_uri(label_id, label_tag, image_id))

    def _add(
        self, image_id: str, new: Structures, volume: Volume, *, over: bool, origin: Origin, warnings: tuple[str, ...]
    ) -> Saved:
        try:
            shelved = self._shelved(image_id, new, volume, origin)
        except NoSegmentationError as error:
            said = f"no DICOM SEG can be made of series {image_id}: {error}; the label is a file of this server alone"
            return super()._add(image_id, new, volume, over=over, origin=origin, warnings=(*warnings, said))
        own = {segment_name(name) for name in new.names}
        others = {name: mask for name, mask in shelved.masks.items() if name not in own}
        together, _ = joined(self._saved(image_id, volume) or structures_of(others), new, over=over)
        self._write(image_id, together, volume, origin)
        return Saved(label=image_id, names=together.names, series=shelved.series, warnings=warnings)

    def _segmentation_of(self, image_id: str, label: Path, told: Mapping[str, Any]) -> str | None:
        """Store a label map of a client as DICOM SEG; returns its series, None where none can be made."""
        try:
            volume = read_volume(label)
        except VolumeFileError as error:
            raise RequestError(f"the label cannot be used: {error}") from error
        try:
            return self._shelved(image_id, named_structures(volume, told), volume, Origin()).series
        except NoSegmentationError as error:
            logger.warning("No DICOM SEG can be made of series %s: %s", image_id, error)
            return None

    def _shelved(self, image_id: str, structures: Structures, volume: Volume, origin: Origin) -> Shelved:
        folder = Path(self.get_image_uri(image_id)).parent / image_id
        if not folder.is_dir():
            self._asked(
                lambda: dicom_web_download_series(None, image_id, str(folder), self._client, self._fetch_by_frame)
            )
        slices = read_slices(folder)
        refuse_other_grid(volume, slices)
        return self._asked(lambda: self._shelf.add(structures.masks(), slices, origin))
