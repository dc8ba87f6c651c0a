"""DICOM series as scanners write them: any plane, slices counted in either direction, any modality.

A voxel's index (i, j, k) is OHIF's: i along a slice's rows, j along its columns, k from slice to slice in the direction
of the cross product of the two, whatever the instance numbers say.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

JPEG_2000_START = b"\xff\x4f\xff\x51"
STORAGE = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "OT": "1.2.840.10008.5.1.4.1.1.7",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
}


def turned(degrees, axis):
    """A rotation about one patient axis."""
    first, second = (other for other in range(3) if other != axis)
    matrix = np.eye(3)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
    return matrix


# Directions of a row and of a column in the patient: x to the left, y to the back, z to the head.
PLANES = {
    "axial": np.array([[1.0, 0, 0], [0, 1, 0]]),
    "sagittal": np.array([[0.0, 1, 0], [0, 0, -1]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1]]),
    "oblique": np.array([[1.0, 0, 0], [0, 1, 0]]) @ turned(25, 0).T @ turned(-35, 1).T,
}


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """How a volume was scanned."""

    plane: str = "axial"
    descending: bool = False  # instance numbers count against OHIF's k
    modality: str = "MR"
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 2.5)  # along i, j, k
    corner_mm: tuple[float, float, float] = (-20.0, 35.0, -60.0)  # of voxel (0, 0, 0)

    @property
    def axes(self):
        """Unit vectors of i, j, k in the patient, one a row."""
        row, column = PLANES[self.plane]
        return np.stack([row, column, np.cross(row, column)])

    def position(self, voxel):
        """Where a voxel lies in the patient, mm."""
        return np.array(self.corner_mm) + (np.asarray(voxel, float) * self.spacing_mm) @ self.axes


@dataclass(frozen=True, kw_only=True)
class Series:
    """What was written."""

    study: str
    uid: str
    files: tuple[Path, ...]


def write_series(folder, volume, acquisition, *, patient="Phantom", description="", same=None):
    """Write a volume (I, J, K) of whole numbers as one study of one series, or as more slices of the `same` series."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = (generate_uid(), generate_uid()) if same is None else (same.study, same.uid)
    frame = generate_uid()
    count = volume.shape[2]
    files = []
    for k in range(count):
        number = count - k if acquisition.descending else k + 1
        slice_ = _instance(volume[:, :, k].T, acquisition, k)
        slice_.InstanceNumber = number
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, series, frame
        slice_.PatientName, slice_.PatientID = patient, patient.upper().replace(" ", "-")
        slice_.StudyDescription = slice_.SeriesDescription = description
        path = folder / f"IM{number:04d}.dcm"
        slice_.save_as(path, write_like_original=False)
        files.append(path)
    return Series(study=study, uid=series, files=tuple(sorted(files)))


def compressed(series):
    """The same files, their pixels packed without loss as JPEG 2000."""
    for path in series.files:
        instance = read_back(path)
        packed = io.BytesIO()
        Image.fromarray(instance.pixel_array.astype(np.uint16)).save(packed, "JPEG2000", no_jp2=True)
        instance.PixelData = encapsulate([packed.getvalue()])
        instance["PixelData"].is_undefined_length = True
        instance.PixelRepresentation = 0
        instance.file_meta.TransferSyntaxUID = JPEG2000Lossless
        instance.save_as(path)
    return series


def write_report(folder, study):
    """An instance of the study that holds no image, as a stored segmentation or report is."""
    folder.mkdir(parents=True, exist_ok=True)
    report = _blank("SEG")
    report.StudyInstanceUID, report.SeriesInstanceUID = study, generate_uid()
    report.PatientName = report.PatientID = "PHANTOM"
    path = folder / "report.dcm"
    report.save_as(path, write_like_original=False)
    return Series(study=study, uid=report.SeriesInstanceUID, files=(path,))


def _instance(pixels, acquisition, k):
    """One slice; pixels (J, I)."""
    instance = _blank(acquisition.modality)
    row, column, _ = acquisition.axes
    i_mm, j_mm, k_mm = acquisition.spacing_mm
    instance.ImageOrientationPatient = [f"{value:.9f}" for value in (*row, *column)]
    instance.ImagePositionPatient = [f"{value:.8f}" for value in acquisition.position((0, 0, k))]
    instance.PixelSpacing = [j_mm, i_mm]  # between rows first
    instance.SliceThickness = instance.SpacingBetweenSlices = k_mm
    instance.Rows, instance.Columns = pixels.shape
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit, instance.PixelRepresentation = 15, 1
    instance.RescaleIntercept, instance.RescaleSlope = 0, 1
    low, high = np.percentile(pixels, (1, 99))
    instance.WindowCenter, instance.WindowWidth = round(float(low + high) / 2, 1), round(float(max(high - low, 1)), 1)
    instance.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()
    return instance


def _blank(modality):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = STORAGE[modality], generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    instance.is_little_endian, instance.is_implicit_VR = True, False
    instance.SOPClassUID, instance.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    instance.Modality = modality
    instance.StudyDate, instance.StudyTime = "20260101", "120000"
    instance.PatientBirthDate = instance.PatientSex = instance.AccessionNumber = instance.StudyID = ""
    instance.SeriesNumber = 1
    return instance


def read_back(path):
    """One stored instance."""
    return pydicom.dcmread(path)
