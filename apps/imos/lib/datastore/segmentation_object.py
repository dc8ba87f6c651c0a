"""DICOM SEG: the segmentation object of a series of slices, written and read.

A segment is one bit per pixel of its own frames, so structures may overlap. The slices of a series are handed around in
the order of the volume's third axis: along the cross product of a slice's row and column directions, as ITK counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from skimage.color import rgb2lab

from imos_engine.volume_file import Volume
from lib.datastore.anatomy_codes import anatomy
from lib.datastore.structures import Mask, Origin

MAKER = "iMOS"
SERIES_NUMBER = 9300
LONGEST_NAME = 63  # characters; a label may have 64, and some readers count the byte that pads it
POSITION_TOLERANCE_MM = 0.1  # between a slice's first pixel and the same voxel of the volume
# Attributes that every image must have, if only empty, and that some scanners leave out.
EXPECTED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
)  # fmt: skip
COLOURS = (
    (230, 75, 60), (70, 130, 220), (90, 190, 90), (240, 190, 60), (160, 100, 210),
    (70, 200, 200), (240, 130, 50), (230, 120, 180), (150, 200, 60), (140, 110, 90),
)  # fmt: skip


class NoSegmentationError(ValueError):
    """A series of which no valid DICOM SEG can be made; the message says why."""


def read_slices(folder: Path) -> list[pydicom.Dataset]:
    """Headers of a series' slices, in the order of the volume's third axis.

    Raises:
        NoSegmentationError: they are no parallel slices with a place in the patient.
    """
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir()) if path.is_file()]
    for one in slices:
        if (
            "ImagePositionPatient" not in one
            or "ImageOrientationPatient" not in one
            or "FrameOfReferenceUID" not in one
        ):
            raise NoSegmentationError("its images do not say where they lie in the patient")
    if not slices:
        raise NoSegmentationError("its slices are not here")
    row, column = np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    along = np.cross(row, column)
    return sorted(slices, key=lambda one: float(np.dot(along, np.array(one.ImagePositionPatient, dtype=float))))


def refuse_other_grid(volume: Volume, slices: Sequence[pydicom.Dataset]) -> None:
    """Make sure that voxel [i, j, k] is column i, row j of slice k.

    Raises:
        NoSegmentationError: it is not.
    """
    first = slices[0]
    if volume.shape != (int(first.Columns), int(first.Rows), len(slices)):
        raise NoSegmentationError(
            f"the label map has {volume.shape} voxels, the series {len(slices)} slices "
            f"of {first.Columns} x {first.Rows}"
        )
    corners = np.array([one.ImagePositionPatient for one in (first, slices[-1])], dtype=float)
    gap_mm = float(np.linalg.norm(corners[1] - corners[0])) / max(len(slices) - 1, 1)
    # The last slice may be off where slices are not evenly spaced: a volume has one spacing.
    for k, corner, allowed_mm in ((0, corners[0], POSITION_TOLERANCE_MM), (len(slices) - 1, corners[1], gap_mm / 2)):
        there = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine @ [0, 0, k, 1])[:3]
        away = float(np.abs(there - corner).max())
        if away > max(allowed_mm, POSITION_TOLERANCE_MM):
            raise NoSegmentationError(f"slice {k} of the label map lies {away:.1f} mm away from that of the series")


def segment_name(name: str) -> str:
    """A name as a segment can carry it."""
    return " ".join(name.replace("\\", "/").split())[:LONGEST_NAME]


def write_segmentation(
    masks: Mapping[str, Mask], slices: Sequence[pydicom.Dataset], origin: Origin
) -> highdicom.seg.Segmentation:
    """Make the DICOM SEG of some structures.

    Args:
        masks: by name, (I, J, K) with K slices; at least one has a voxel.
        slices: the series, in the order of the third axis.
        origin: what made them.

    Raises:
        NoSegmentationError: the series lacks what a segmentation must refer to.
    """
    # One structure after the other in memory, although the axis comes last: so its frames are read in one piece.
    pixels = np.moveaxis(np.stack([mask.T for mask in masks.values()]).view(np.uint8), 0, -1)
    try:
        segmentation = highdicom.seg.Segmentation(
            source_images=[_complete(one) for one in slices],
            pixel_array=pixels,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(number, name, origin) for number, name in enumerate(map(segment_name, masks), start=1)
            ],
            series_instance_uid=highdicom.UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name="iMOS for MONAI Label",
            software_versions=origin.version,
            device_serial_number=origin.version,
            series_description="iMOS segmentation",
            content_label="IMOS",
            content_description=f"Drawn with {MAKER}: carried from marked slices",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoSegmentationError(f"its headers do not allow one ({error})") from error
    segmentation.SpecificCharacterSet = "ISO_IR 192"  # of whatever language names are
    return segmentation


def is_ours(dataset: pydicom.Dataset, series: str) -> bool:
    """Whether a stored instance is a segmentation that we made of a series."""
    refers = {str(one.SeriesInstanceUID) for one in dataset.get("ReferencedSeriesSequence") or ()}
    return dataset.get("Modality") == "SEG" and dataset.get("Manufacturer") == MAKER and series in refers


def read_masks(segmentation: pydicom.Dataset, slices: Sequence[pydicom.Dataset]) -> dict[str, Mask]:
    """Structures of a segmentation of ours by name, (I, J, K).

    Raises:
        NoSegmentationError: it refers to slices that are not in the series.
    """
    place = {str(one.SOPInstanceUID): k for k, one in enumerate(slices)}
    shape = int(slices[0].Columns), int(slices[0].Rows), len(slices)
    names = {int(one.SegmentNumber): str(one.SegmentLabel) for one in segmentation.SegmentSequence}
    masks = {name: np.zeros(shape, dtype=bool) for name in names.values()}
    frames = segmentation.pixel_array.reshape(-1, shape[1], shape[0])
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        name = names[int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        k = place.get(str(source.ReferencedSOPInstanceUID))
        if k is None:
            raise NoSegmentationError("the one stored before refers to slices that the series no longer has")
        masks[name][:, :, k] = frame.T.astype(bool)
    return masks


def written_at(segmentation: pydicom.Dataset) -> tuple[str, str]:
    """When a segmentation was made; later ones are greater."""
    return str(segmentation.get("ContentDate") or ""), str(segmentation.get("ContentTime") or "")


def _description(number: int, name: str, origin: Origin) -> SegmentDescription:
    known = anatomy(name)
    parameters = {"network": origin.network} if origin.network else None
    description = SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=known.category,
        segmented_property_type=known.kind,
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MAKER, family=codes.DCM.ArtificialIntelligence, version=origin.version, parameters=parameters
        ),
        tracking_uid=highdicom.UID(),
        tracking_id=name,
    )
    if known.side is not None:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            _coded(known.side)
        ]
    description.RecommendedDisplayCIELabValue = _cielab(COLOURS[(number - 1) % len(COLOURS)])
    return description


def _coded(code: Code) -> highdicom.sr.CodedConcept:
    return highdicom.sr.CodedConcept(value=code.value, scheme_designator=code.scheme_designator, meaning=code.meaning)


def _cielab(colour: tuple[int, int, int]) -> list[int]:
    """A colour as DICOM scales it: 0 to 100 and twice -128 to 127, both as 0 to 65535."""
    lightness, a, b = rgb2lab(np.array([[colour]]) / 255)[0, 0]
    return [round(lightness / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535)]


def _complete(image: pydicom.Dataset) -> pydicom.Dataset:
    """A slice's header with all that must be there."""
    for keyword in EXPECTED:
        if keyword not in image:
            setattr(image, keyword, "")
    if image.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword not in image:
                del image.LossyImageCompression
                break
    return image
