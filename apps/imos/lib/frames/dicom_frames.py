"""A multi-frame DICOM, such as a loop of ultrasound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixel_data_handlers.util import apply_color_lut, convert_color_space
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from imos_engine.volume_file import VolumeFileError
from lib.frames.source import Frame, FrameSource

DICOM_SUFFIX = ".dcm"
IMAGE_GROUP = 0x0028  # the elements that say how pixels are stored
CENTIMETRES = 3  # code of a unit in a region of an ultrasound image
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
TURNED_BY_DECODER = ("RGB", "YBR_ICT", "YBR_RCT")  # JPEG 2000 keeps these two; its decoder hands out RGB
JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
JPEG_TELLS = (b"JFIF\0", b"Adobe")  # marks by which a JPEG says itself how its colours are stored
JPEG_HEAD_BYTES = 1024
NO_IMAGES = ("SEG", "RTDOSE")  # modalities whose frames are no pictures
# What pydicom and the decoders below it raise for damaged or foreign files.
UNREADABLE = (
    InvalidDicomError, OSError, EOFError, ValueError, TypeError, KeyError, IndexError,
    AttributeError, NotImplementedError, RuntimeError, cv2.error,
)  # fmt: skip


def is_multi_frame(path: Path) -> bool:
    """Whether a DICOM file is a sequence of pictures; false for what cannot be read."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames", "Modality"])
        return int(dataset.get("NumberOfFrames") or 1) > 1 and dataset.get("Modality") not in NO_IMAGES
    except UNREADABLE:
        return False


def open_dicom(path: Path) -> FrameSource:
    """Open a multi-frame DICOM: grey as it is rescaled, colour as red, green and blue.

    Raises:
        VolumeFileError: it is no DICOM, holds no frames, or pixels of a kind that we do not read.
    """
    try:
        dataset = pydicom.dcmread(path)
        count = int(dataset.get("NumberOfFrames") or 1)
        height, width = int(dataset.Rows), int(dataset.Columns)
        kind, bits = str(dataset.PhotometricInterpretation), int(dataset.BitsAllocated)
        row_mm, column_mm, gap_mm = _spacing_mm(dataset)
        pixels, syntax = dataset.PixelData, dataset.file_meta.TransferSyntaxUID
    except UNREADABLE as error:
        raise VolumeFileError(f"{path.name} cannot be read as a DICOM image: {error}") from error
    if count < 2:
        raise VolumeFileError(
            f"{path.name} holds one frame; give a multi-frame DICOM. Slices of a series belong into a DICOMweb store, "
            "or into one NIfTI file"
        )
    if kind not in (*GREY, *COLOUR) or bits not in (8, 16):
        raise VolumeFileError(
            f"{path.name} holds pixels of {bits} bits as {kind}; 8 or 16 bits of {', '.join((*GREY, *COLOUR))} are read"
        )
    return FrameSource(
        name=path.name,
        height=height,
        width=width,
        colour=kind not in GREY,
        dtype=_stored_type(dataset) if kind in GREY else np.dtype(np.uint8),
        announced=count,
        row_mm=row_mm,
        column_mm=column_mm,
        gap_mm=gap_mm,
        frames=_decoded(f"{path.name} ({syntax.name})", dataset, pixels, count),
    )


def _spacing_mm(dataset: pydicom.Dataset) -> tuple[float, float, float | None]:
    """Between rows, columns and frames; 1 mm where nothing is said, None between the frames of a video."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    measures = (shared[0].get("PixelMeasuresSequence") or [pydicom.Dataset()])[0]
    spacing = dataset.get("PixelSpacing") or measures.get("PixelSpacing") or _sonographic_spacing_mm(dataset)
    gap = dataset.get("SpacingBetweenSlices") or measures.get("SpacingBetweenSlices")
    row, column = (_length(value) or 1.0 for value in spacing)
    return row, column, _length(gap)


def _sonographic_spacing_mm(dataset: pydicom.Dataset) -> tuple[float, float]:
    for region in dataset.get("SequenceOfUltrasoundRegions") or ():
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        if units == (CENTIMETRES, CENTIMETRES):
            return 10 * abs(float(region.PhysicalDeltaY)), 10 * abs(float(region.PhysicalDeltaX))
    return 1.0, 1.0


def _length(value: Any) -> float | None:
    length = abs(float(value)) if value else 0.0
    return length if length and math.isfinite(length) else None


def _rescaling(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Slope and intercept."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return 1.0 if slope is None else float(slope), float(intercept or 0)


def _stored_type(dataset: pydicom.Dataset) -> np.dtype[np.generic]:
    """Number type of the grey values, once rescaled."""
    slope, intercept = _rescaling(dataset)
    if (slope, intercept) == (1.0, 0.0):
        return np.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{int(dataset.BitsAllocated) // 8}")
    return np.dtype(np.int32 if slope.is_integer() and intercept.is_integer() else np.float32)


def _decoded(name: str, dataset: pydicom.Dataset, pixels: bytes, count: int) -> Iterator[Frame]:
    done = 0
    try:
        for stored in _stored_frames(dataset, pixels, count):
            yield _frame(dataset, stored)
            done += 1
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise VolumeFileError(
            f"frame {done} of {name} cannot be decoded: {reason}; copy the file anew, or store it uncompressed, for "
            "instance with `gdcmconv --raw IN OUT`"
        ) from error
    if done < count:
        raise VolumeFileError(f"{name} holds {done} of the {count} frames that it announces; copy the file anew")


def _stored_frames(dataset: pydicom.Dataset, pixels: bytes, count: int) -> Iterator[bytes]:
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from generate_pixel_data_frame(pixels, count)
        return
    values = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        values = values * 2 // 3  # two neighbours share their colour
    size = values * int(dataset.BitsAllocated) // 8
    yield from (pixels[start : start + size] for start in range(0, min(count * size, len(pixels) - size + 1), size))


def _frame(dataset: pydicom.Dataset, stored: bytes) -> Frame:
    syntax, kind = dataset.file_meta.TransferSyntaxUID, dataset.PhotometricInterpretation
    if syntax in JPEG and kind not in GREY:
        return _jpeg_colours(stored, kind)
    single = _single(dataset, encapsulate([stored]) if syntax.is_encapsulated else stored)
    values = single.pixel_array
    return _rescaled(values, single) if kind in GREY else _colours(values, single)


def _single(dataset: pydicom.Dataset, pixels: bytes) -> pydicom.Dataset:
    """A DICOM of one frame, so that no more is decoded at once."""
    single = dataset.group_dataset(IMAGE_GROUP)
    single.file_meta = dataset.file_meta
    single.is_little_endian, single.is_implicit_VR = dataset.is_little_endian, dataset.is_implicit_VR
    single.NumberOfFrames = 1
    single.PixelData = pixels + b"\0" * (len(pixels) % 2)
    return single


def _jpeg_colours(stored: bytes, kind: str) -> Frame:
    """Decode a JPEG by what it says of its colours; only where it says nothing, DICOM's word counts."""
    decoded = cv2.imdecode(np.frombuffer(stored, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("it is no JPEG image")
    if kind == "RGB" and not any(mark in stored[:JPEG_HEAD_BYTES] for mark in JPEG_TELLS):
        # The decoder took red, green and blue for brightness and two colours: turn them back.
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2YCrCb)[..., [0, 2, 1]]
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def _colours(values: Frame, single: pydicom.Dataset) -> Frame:
    kind = single.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(values, single)
        bits = 8 * colours.dtype.itemsize
    else:
        colours = values if kind in TURNED_BY_DECODER else convert_color_space(values, kind, "RGB")
        bits = int(single.BitsStored)
    return colours if bits == 8 else (colours >> (bits - 8)).astype(np.uint8)


def _rescaled(values: Frame, single: pydicom.Dataset) -> Frame:
    if single.PhotometricInterpretation == "MONOCHROME1":  # its lowest value is white
        highest = -1 if single.PixelRepresentation else 2 ** int(single.BitsStored) - 1
        values = (highest - values.astype(np.int64)).astype(values.dtype)
    slope, intercept = _rescaling(single)
    rescaled = values if (slope, intercept) == (1.0, 0.0) else values * slope + intercept
    return rescaled.astype(_stored_type(single), copy=False)  # also in this machine's order of bytes
