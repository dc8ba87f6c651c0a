"""DICOM SEG: what we write, highdicom reads, at the same place in the patient, however the series was scanned."""

import io

import highdicom
import numpy as np
import pydicom
import pytest

from lib.datastore.anatomy_codes import anatomy
from lib.datastore.segmentation_object import (
    NoSegmentationError,
    is_ours,
    read_masks,
    read_slices,
    refuse_other_grid,
    write_segmentation,
)
from lib.datastore.structures import Origin
from tests.ohif.acquisitions import PLANES, Acquisition, read_back, write_series

SHAPE = (24, 20, 8)
ORIGIN = Origin(network="small", version="9.9.9")
SERIES = [(plane, descending) for plane in PLANES for descending in (False, True)]


def box(*corners):
    """A box of voxels in one corner of the volume: every axis and direction can be told from the others."""
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(low, high) for low, high in corners)] = True
    return mask


def overlapping():
    """Two structures that share voxels; the first is on the last slices alone."""
    return {"liver": box((2, 9), (3, 6), (5, 8)), "left kidney": box((5, 20), (4, 12), (1, 7))}


def series(folder, acquisition, **options):
    return write_series(folder, np.zeros(SHAPE, np.int16), acquisition, patient="Doe^Jane", **options)


def through_a_file(segmentation):
    """The segmentation as another program reads it."""
    stored = io.BytesIO()
    segmentation.save_as(stored)
    stored.seek(0)
    return pydicom.dcmread(stored)


@pytest.mark.parametrize(("plane", "descending"), SERIES)
def test_every_voxel_is_on_the_slice_and_pixel_where_it_was(tmp_path, plane, descending):
    acquisition = Acquisition(plane=plane, descending=descending)
    files = series(tmp_path, acquisition).files
    masks = overlapping()
    stored = through_a_file(write_segmentation(masks, read_slices(tmp_path), ORIGIN))
    read = highdicom.seg.Segmentation.from_dataset(stored, copy=False)
    for file in files:
        image = read_back(file)
        k = SHAPE[2] - image.InstanceNumber if descending else image.InstanceNumber - 1
        pixels = read.get_pixels_by_source_instance([image.SOPInstanceUID], assert_missing_frames_are_empty=True)
        for number, mask in enumerate(masks.values()):
            np.testing.assert_array_equal(pixels[0, :, :, number], mask[:, :, k].T)


@pytest.mark.parametrize(("plane", "descending"), SERIES)
def test_every_frame_lies_in_the_patient_where_its_slice_does(tmp_path, plane, descending):
    acquisition = Acquisition(plane=plane, descending=descending)
    series(tmp_path, acquisition)
    stored = through_a_file(write_segmentation({"liver": box((0, 9), (0, 6), (5, 7))}, read_slices(tmp_path), ORIGIN))
    shared = stored.SharedFunctionalGroupsSequence[0]
    np.testing.assert_allclose(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, acquisition.axes[:2].ravel(), atol=1e-6
    )
    i_mm, j_mm, _ = acquisition.spacing_mm
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [j_mm, i_mm]
    frames = stored.PerFrameFunctionalGroupsSequence
    found = sorted(tuple(frame.PlanePositionSequence[0].ImagePositionPatient) for frame in frames)
    np.testing.assert_allclose(found, sorted(tuple(acquisition.position((0, 0, k))) for k in (5, 6)), atol=1e-4)


@pytest.mark.parametrize(("plane", "descending"), SERIES)
def test_what_was_written_is_read_whole_although_it_overlaps(tmp_path, plane, descending):
    series(tmp_path, Acquisition(plane=plane, descending=descending))
    slices, masks = read_slices(tmp_path), overlapping()
    assert (masks["liver"] & masks["left kidney"]).any()
    found = read_masks(through_a_file(write_segmentation(masks, slices, ORIGIN)), slices)
    assert list(found) == list(masks)
    for name, mask in masks.items():
        np.testing.assert_array_equal(found[name], mask)


def test_a_segment_says_what_it_is_and_what_made_it(tmp_path):
    source = series(tmp_path, Acquisition())
    stored = through_a_file(write_segmentation(overlapping(), read_slices(tmp_path), ORIGIN))
    kidney = stored.SegmentSequence[1]
    assert kidney.SegmentLabel == "left kidney"
    assert kidney.SegmentAlgorithmType == "SEMIAUTOMATIC"
    made_by = kidney.SegmentationAlgorithmIdentificationSequence[0]
    assert (made_by.AlgorithmName, made_by.AlgorithmVersion) == ("iMOS", "9.9.9")
    assert made_by.AlgorithmParameters == "network=small"
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("64033007", "SCT", "Kidney")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert len(kidney.RecommendedDisplayCIELabValue) == 3
    assert stored.StudyInstanceUID == source.study
    assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == source.uid
    assert len(stored.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == SHAPE[2]
    assert is_ours(stored, source.uid)
    assert not is_ours(stored, "1.2.3")
    assert not is_ours(read_back(source.files[0]), source.uid)


@pytest.mark.parametrize(
    ("name", "kind", "side"),
    [
        ("liver", "Liver", None),
        ("Right_Kidney", "Kidney", "Right"),
        ("lateral ventricles", "Lateral ventricle", None),
        ("left ventricle", "Left Ventricle", None),  # of the heart: a structure of its own, not the left one of two
        ("tumor", "Neoplasm", None),
        ("bone", "Bone", None),
        ("my favourite spot", "Tissue", None),
        ("__class__", "Tissue", None),
    ],
)
def test_a_name_is_coded_where_the_code_is_known(name, kind, side):
    found = anatomy(name)
    assert found.kind.meaning == kind
    assert (found.side.meaning if found.side else None) == side


def test_names_of_any_language_and_length_are_kept(tmp_path):
    patient = "Müller^Jürgen"
    series(tmp_path, Acquisition())
    for path in tmp_path.iterdir():
        image = read_back(path)
        image.SpecificCharacterSet, image.PatientName = "ISO_IR 100", patient
        image.save_as(path)
    name = "Milz – obere Hälfte, " + "x" * 80
    stored = through_a_file(write_segmentation({name: box((1, 3), (1, 3), (1, 3))}, read_slices(tmp_path), ORIGIN))
    assert stored.SegmentSequence[0].SegmentLabel == name[:63]
    assert stored.PatientName == patient


def test_a_series_that_leaves_out_what_may_be_empty_is_written(tmp_path):
    series(tmp_path, Acquisition())
    for path in tmp_path.iterdir():
        image = read_back(path)
        del image.PatientBirthDate, image.AccessionNumber, image.StudyID, image.StudyTime
        image.LossyImageCompression = "01"
        image.save_as(path)
    stored = through_a_file(write_segmentation(overlapping(), read_slices(tmp_path), ORIGIN))
    assert stored.AccessionNumber == ""


def test_a_series_without_a_place_in_the_patient_is_refused(tmp_path):
    series(tmp_path, Acquisition())
    for path in tmp_path.iterdir():
        image = read_back(path)
        del image.FrameOfReferenceUID
        image.save_as(path)
    with pytest.raises(NoSegmentationError, match="where they lie"):
        read_slices(tmp_path)


class Grid:
    """A label map's shape and place."""

    def __init__(self, acquisition, shape=SHAPE, *, moved_mm=0.0, stretched=1.0):
        self.shape = shape
        lps = np.eye(4)
        lps[:3, :3] = acquisition.axes.T * acquisition.spacing_mm * stretched
        lps[:3, 3] = acquisition.position((0, 0, 0)) + moved_mm
        self.affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


@pytest.mark.parametrize(("plane", "descending"), SERIES)
def test_only_a_label_map_on_the_series_own_grid_is_taken(tmp_path, plane, descending):
    acquisition = Acquisition(plane=plane, descending=descending)
    series(tmp_path, acquisition)
    slices = read_slices(tmp_path)
    refuse_other_grid(Grid(acquisition), slices)
    shapes = Grid(acquisition, (24, 20, 7)), Grid(acquisition, (20, 24, 8))
    for other in (*shapes, Grid(acquisition, moved_mm=2.0), Grid(acquisition, stretched=1.2)):
        with pytest.raises(NoSegmentationError):
            refuse_other_grid(other, slices)
