"""The series of a DICOMweb server as images: MONAI Label's datastore, for any modality and for networks that fail."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import requests
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore

from imos_engine.volume_file import VolumeFileError
from lib.errors import RequestError
from lib.frames.dicom_frames import is_multi_frame
from lib.frames.volume import write_frame_volume

logger = logging.getLogger(__name__)

STUDY_UID, SERIES_UID, MODALITY = "0020000D", "0020000E", "00080060"  # DICOM tags, as JSON names them
AS_STORED = (("application/dicom", "*"),)  # in whatever transfer syntax; Orthanc cannot decompress every one
CLIP_SUFFIX = ".nii"  # frames are decoded into an uncompressed file, one by one
KEPT_SUFFIXES = (".nii.gz", CLIP_SUFFIX)
PLACES_OF_FRAMES = "PerFrameFunctionalGroupsSequence"  # of the slices of a volume that is stored as one file
UID = re.compile(r"[0-9]+(\.[0-9]+)+")  # becomes the name of a file in the server's own folder
# Series that hold no picture to be segmented: segmentations, plans, reports, presentations, waveforms, registrations.
NO_IMAGES = frozenset(
    {"SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "SR", "PR", "KO", "DOC", "AU", "ECG", "EPS", "HD", "RESP"}
    | {"REG", "FID", "PLAN", "ANN", "OAM", "SMR", "STAIN"}
)
SECONDS_KNOWN = 2.0  # for which a list of series is believed: MONAI Label asks for it in loops


class DicomSeries(DICOMWebDatastore):
    """Series of every modality that holds images; each is downloaded whole, once, and kept as a volume."""

    def __init__(self, *arguments: Any, search_filter: dict[str, Any], **options: Any) -> None:
        self._listed: tuple[float, list[str]] | None = None
        self._downloads = threading.Lock()
        super().__init__(*arguments, search_filter=_asked_filter(search_filter), **options)

    def list_images(self) -> list[str]:
        """Ids of the series that can be segmented."""
        if self._listed is None or time.monotonic() - self._listed[0] > SECONDS_KNOWN:
            found = self._asked(lambda: self._client.search_for_series(search_filters=self._search_filter))
            uids = [_value(series, SERIES_UID) for series in found if _value(series, MODALITY) not in NO_IMAGES]
            self._listed = time.monotonic(), uids
        return list(self._listed[1])

    def get_image_uri(self, image_id: str) -> str:
        """Path of the series as one volume; empty when the server holds no such series.

        Raises:
            RequestError: the DICOMweb server failed, or the series is no volume.
        """
        if not UID.fullmatch(image_id):
            return ""
        with self._downloads:  # a second request must not read what the first is still writing
            if self._kept(image_id) is None:
                study = self._study_of(image_id)
                if study is None:
                    return ""
                self._download(study, image_id)
            return str(self._kept(image_id))

    def _kept(self, series: str) -> Path | None:
        """The volume of a series that was downloaded before."""
        paths = (Path(self._datastore.image_path(), f"{series}{suffix}").resolve() for suffix in KEPT_SUFFIXES)
        return next((path for path in paths if path.exists()), None)

    def _study_of(self, series: str) -> str | None:
        found = self._asked(lambda: self._client.search_for_series(search_filters={"SeriesInstanceUID": series}))
        return next((_value(one, STUDY_UID) for one in found if _value(one, SERIES_UID) == series), None)

    def _download(self, study: str, series: str) -> None:
        folder = Path(self._datastore.image_path(), series)
        # Slices of a download that was interrupted would otherwise pass for the whole series.
        shutil.rmtree(folder, ignore_errors=True)
        if not self._fetch_by_frame:
            self._fetch(study, series, folder)
        try:
            converted = self._converted(series, folder)
        except (RuntimeError, VolumeFileError) as error:
            raise RequestError(
                f"series {series} cannot be made into one volume ({str(error).splitlines()[-1].strip()}); "
                "choose a series of slices of one size, or a clip of at least two frames"
            ) from error
        Path(converted).unlink(missing_ok=True)  # the datastore holds a copy

    def _converted(self, series: str, folder: Path) -> str:
        """Add the volume of a downloaded series; returns the file that it was copied from."""
        clip = _clip_in(folder)
        if clip is None:
            return str(self._asked(lambda: super(DicomSeries, self).get_image_uri(series)))
        with tempfile.NamedTemporaryFile(suffix=CLIP_SUFFIX, delete=False) as file:
            volume = Path(file.name)
        try:
            write_frame_volume(clip, volume)
            self.add_image(series, str(volume), self._asked(lambda: self._dicom_info(series)))
        except BaseException:
            volume.unlink()
            raise
        return str(volume)

    def _fetch(self, study: str, series: str, folder: Path) -> None:
        """Store a series' instances as the DICOMweb server has them; MONAI Label asks it to decompress them first."""
        try:
            instances = self._client.retrieve_series(study, series, media_types=AS_STORED)
        except requests.RequestException:  # a server that gives only what it has decompressed
            instances = self._asked(lambda: self._client.retrieve_series(study, series))
        incoming = folder.with_name(f"{series}.incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        for instance in instances:
            instance.save_as(incoming / f"{instance.SOPInstanceUID}.dcm")
        incoming.rename(folder)

    def _asked(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except requests.RequestException as error:
            logger.exception("The DICOMweb server failed")
            raise RequestError(
                f"the DICOMweb server {self._client.base_url} failed ({type(error).__name__}); "
                "see that it runs, then ask again",
                status=502,
            ) from error


def _clip_in(folder: Path) -> Path | None:
    """The one file of a series that is a clip: pictures of which none says where in the patient it lies."""
    files = list(folder.glob("*.dcm"))
    if len(files) != 1 or not is_multi_frame(files[0]):
        return None
    return None if PLACES_OF_FRAMES in pydicom.dcmread(files[0], stop_before_pixels=True) else files[0]


def _asked_filter(search_filter: dict[str, Any]) -> dict[str, Any]:
    """The filter that the site has set; MONAI Label's own default would hide everything but CT."""
    return search_filter if "MONAI_LABEL_DICOMWEB_SEARCH_FILTER" in settings.model_fields_set else {}


def _value(series: dict[str, Any], tag: str) -> str:
    values = series.get(tag, {}).get("Value") or [""]
    return str(values[0])
