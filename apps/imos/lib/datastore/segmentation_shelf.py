"""Our segmentations on a DICOMweb server: found, read, stored, replaced."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
import requests
from dicomweb_client import DICOMwebClient

from lib.datastore.segmentation_object import (
    is_ours,
    read_masks,
    segment_name,
    write_segmentation,
    written_at,
)
from lib.datastore.structures import Mask, Origin
from lib.errors import RequestError

logger = logging.getLogger(__name__)

SERIES_UID = "0020000E"  # as DICOM JSON names it
SECONDS_TO_DELETE = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelved:
    """What is stored of a series now."""

    series: str | None  # SeriesInstanceUID of the segmentation; None when there is nothing to store
    masks: Mapping[str, Mask]  # by name, (I, J, K)


class SegmentationShelf:
    """The segmentations that we made of the series of one DICOMweb server."""

    def __init__(self, client: DICOMwebClient) -> None:
        self._client = client

    def add(self, masks: Mapping[str, Mask], slices: Sequence[pydicom.Dataset], origin: Origin) -> Shelved:
        """Store structures together with those stored before; each replaces the one of its name.

        The new segmentation is stored before the old ones are removed: whatever happens in between, all is there.

        Args:
            masks: by name, (I, J, K).
            slices: headers of the series, in the order of the third axis.
            origin: what made them.

        Raises:
            NoSegmentationError: no segmentation of this series can be made.
            RequestError: the server did not store it.
            requests.RequestException: the server failed.
        """
        study, series = str(slices[0].StudyInstanceUID), str(slices[0].SeriesInstanceUID)
        earlier = self._earlier(study, series)
        kept: dict[str, Mask] = {}
        for segmentation in earlier:
            kept |= read_masks(segmentation, slices)
        kept |= {segment_name(name): mask for name, mask in masks.items()}
        kept = {name: mask for name, mask in kept.items() if mask.any()}
        if not kept:
            return Shelved(series=None, masks={})
        segmentation = write_segmentation(kept, slices, origin)
        self._store(segmentation)
        for old in earlier:
            self._remove(old)
        return Shelved(series=str(segmentation.SeriesInstanceUID), masks=kept)

    def _earlier(self, study: str, series: str) -> list[pydicom.Dataset]:
        """Our segmentations of a series, the oldest first."""
        listed = self._client.search_for_series(study, search_filters={"Modality": "SEG"})
        found = []
        for uid in (_value(one, SERIES_UID) for one in listed):
            if any(is_ours(_header(one), series) for one in self._client.retrieve_series_metadata(study, uid)):
                found += [one for one in self._client.retrieve_series(study, uid) if is_ours(one, series)]
        return sorted(found, key=written_at)

    def _store(self, segmentation: pydicom.Dataset) -> None:
        answer = self._client.store_instances([segmentation], study_instance_uid=segmentation.StudyInstanceUID)
        failed = answer.get("FailedSOPSequence") or ()
        if failed:
            raise RequestError(
                f"the DICOMweb server did not store the segmentation (reason {failed[0].get('FailureReason')}); "
                "see its log, then save again",
                status=502,
            )

    def _remove(self, segmentation: pydicom.Dataset) -> None:
        """Remove a segmentation that a newer one contains; a server that does not delete keeps both."""
        study, series = str(segmentation.StudyInstanceUID), str(segmentation.SeriesInstanceUID)
        try:
            self._client.delete_series(study, series)
        except requests.RequestException as error:
            if not self._remove_from_orthanc(series):
                logger.warning("The older segmentation %s stays: the server does not delete it (%s)", series, error)

    def _remove_from_orthanc(self, series: str) -> bool:
        """Whether the server is an Orthanc and removed it: that deletes over an interface of its own, not DICOMweb."""
        root = str(self._client.base_url).rstrip("/").rpartition("/")[0]
        try:
            found = self._client._session.post(f"{root}/tools/lookup", data=series, timeout=SECONDS_TO_DELETE)
            keys = [one["ID"] for one in found.json() if one["Type"] == "Series"] if found.ok else []
            gone = [self._client._session.delete(f"{root}/series/{key}", timeout=SECONDS_TO_DELETE).ok for key in keys]
        except (requests.RequestException, ValueError, TypeError, KeyError):
            return False
        return bool(gone) and all(gone)


def _header(metadata: dict[str, Any]) -> pydicom.Dataset:
    """An instance without its pixels, which are elsewhere."""
    return pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda _: None)


def _value(dataset: Mapping[str, Any], tag: str) -> str:
    values = dataset.get(tag, {}).get("Value") or [""]
    return str(values[0])
