"""Labels of a DICOMweb server's series: one DICOM SEG, which grows by one structure after the other."""

import warnings

import numpy as np
import pydicom
import pytest
import requests

from imos_engine.volume_file import read_volume, write_labels
from lib.datastore.labelled import LabelledSeries
from lib.datastore.segmentation_object import read_masks, read_slices
from lib.datastore.segmentation_shelf import SegmentationShelf
from lib.datastore.structures import Origin, Structures
from lib.errors import RequestError
from scripts.ohif.debian import ORTHANC_FILES
from scripts.ohif.orthanc import running_orthanc
from scripts.processes import free_port
from tests.ohif.acquisitions import Acquisition, read_back, write_series

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from monailabel.datastore.dicom import DICOMwebClientX

SHAPE = (24, 20, 8)
ORIGIN = Origin(network="small", version="9.9.9")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    missing = [str(file) for file in ORTHANC_FILES if not file.exists()]
    if missing:
        pytest.skip(f"Orthanc is not installed: {missing[0]} is missing")
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), port=free_port()) as server:
        yield server


class Stored:
    """One series on the server, and the app's datastore on it."""

    def __init__(self, orthanc, folder, acquisition):
        series = write_series(folder / "series", np.zeros(SHAPE, np.int16), acquisition, patient="Doe^Jane")
        for path in series.files:
            orthanc.store(path.read_bytes())
        self.uid, self.study, self.folder = series.uid, series.study, folder
        self.slices = read_slices(folder / "series")
        self.client = DICOMwebClientX(orthanc.dicomweb)
        self.datastore = LabelledSeries(self.client, search_filter={}, cache_path=str(folder / "cache"))
        self.volume = read_volume(self.datastore.get_image_uri(self.uid))

    def save(self, *, over=False, **masks):
        names = {name: value for value, name in enumerate(masks, start=1)}
        labels = sum(mask * np.uint8(names[name]) for name, mask in masks.items())
        new = Structures(labels=labels, names=names)
        return self.datastore.save_structures(self.uid, new, self.volume, over=over, origin=ORIGIN)

    def segmentations(self):
        """Every segmentation of the study, whoever made it."""
        listed = self.client.search_for_series(self.study, search_filters={"Modality": "SEG"})
        uids = [one["0020000E"]["Value"][0] for one in listed]
        return [one for uid in uids for one in self.client.retrieve_series(self.study, uid)]

    def masks(self):
        """What the one segmentation on the server holds."""
        (segmentation,) = self.segmentations()
        return read_masks(segmentation, self.slices)

    def label(self):
        """The label map that the datastore hands out."""
        return read_volume(self.datastore.get_label_uri(self.uid, "final")).array


@pytest.fixture
def stored(orthanc, tmp_path):
    with_series = Stored(orthanc, tmp_path, Acquisition(plane="oblique", descending=True))
    yield with_series
    with_series.datastore._observer.stop()
    with_series.datastore._observer.join()


def box(*corners):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(low, high) for low, high in corners)] = True
    return mask


KIDNEY, LIVER = box((2, 9), (3, 9), (5, 8)), box((5, 20), (4, 12), (1, 7))


def test_a_liver_saved_after_a_kidney_keeps_it_where_they_overlap(stored):
    assert (KIDNEY & LIVER).any()
    stored.save(kidney=KIDNEY)
    saved = stored.save(liver=LIVER)
    np.testing.assert_array_equal(stored.masks()["kidney"], KIDNEY)
    np.testing.assert_array_equal(stored.masks()["liver"], LIVER)
    assert saved.series == stored.segmentations()[0].SeriesInstanceUID
    assert list(saved.names) == ["kidney", "liver"]
    np.testing.assert_array_equal(stored.label() == saved.names["kidney"], KIDNEY)
    np.testing.assert_array_equal(stored.label() == saved.names["liver"], LIVER & ~KIDNEY)


def test_a_structure_replaces_its_own_segment_alone(stored):
    stored.save(kidney=KIDNEY, liver=LIVER & ~KIDNEY)
    moved = np.roll(KIDNEY, 3, axis=1)
    stored.save(kidney=moved)
    assert list(stored.masks()) == ["kidney", "liver"]
    np.testing.assert_array_equal(stored.masks()["kidney"], moved)
    np.testing.assert_array_equal(stored.masks()["liver"], LIVER & ~KIDNEY)


def test_a_server_that_deletes_nothing_keeps_all_that_was_saved(stored, monkeypatch):
    monkeypatch.setattr(SegmentationShelf, "_remove_from_orthanc", lambda *_: False)
    stored.save(kidney=KIDNEY)
    stored.save(liver=LIVER)
    stored.save(kidney=np.roll(KIDNEY, 3, axis=1))
    assert len(stored.segmentations()) == 3
    newest = max(stored.segmentations(), key=lambda one: one.ContentTime)
    np.testing.assert_array_equal(read_masks(newest, stored.slices)["kidney"], np.roll(KIDNEY, 3, axis=1))
    np.testing.assert_array_equal(read_masks(newest, stored.slices)["liver"], LIVER)


def test_a_server_that_stores_nothing_loses_nothing(stored, monkeypatch):
    stored.save(kidney=KIDNEY)
    before = stored.label()

    def refuse(*_, **__):
        raise requests.ConnectionError("gone")

    monkeypatch.setattr(stored.client, "store_instances", refuse)
    with pytest.raises(RequestError, match="failed"):
        stored.save(liver=LIVER)
    failed = pydicom.Dataset()
    failed.FailedSOPSequence = [pydicom.Dataset()]
    monkeypatch.setattr(stored.client, "store_instances", lambda *_, **__: failed)
    with pytest.raises(RequestError, match="did not store"):
        stored.save(liver=LIVER)
    np.testing.assert_array_equal(stored.masks()["kidney"], KIDNEY)
    np.testing.assert_array_equal(stored.label(), before)


def test_segmentations_that_others_made_are_left_alone(stored):
    stored.save(kidney=KIDNEY)
    (foreign,) = stored.segmentations()
    foreign.Manufacturer = "Somebody else"
    foreign.SeriesInstanceUID, foreign.SOPInstanceUID = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    foreign.file_meta.MediaStorageSOPInstanceUID = foreign.SOPInstanceUID
    stored.client.store_instances([foreign])
    stored.save(liver=LIVER)
    by_maker = {one.Manufacturer: one for one in stored.segmentations()}
    assert by_maker["Somebody else"].SOPInstanceUID == foreign.SOPInstanceUID
    assert list(read_masks(by_maker["iMOS"], stored.slices)) == ["kidney", "liver"]


def test_a_label_that_slicer_submits_becomes_a_segmentation_too(stored):
    """In place of MONAI Label's own conversion, which knows no overlap and names segments by their order alone."""
    stored.save(kidney=KIDNEY)
    path = stored.folder / "scene.nii.gz"
    write_labels(path, LIVER * np.uint8(2), stored.volume)
    told = {"label_info": [{"name": "spleen", "idx": 1}, {"name": "liver", "idx": 2}]}
    stored.datastore.save_label(stored.uid, str(path), "final", told)
    assert list(stored.masks()) == ["kidney", "liver"]
    np.testing.assert_array_equal(stored.masks()["liver"], LIVER)
    np.testing.assert_array_equal(stored.label(), LIVER * 2)


def test_an_original_label_stays_on_this_server(stored):
    path = stored.folder / "first_try.nii.gz"
    write_labels(path, LIVER * np.uint8(1), stored.volume)
    stored.datastore.save_label(stored.uid, str(path), "original", {})
    assert stored.segmentations() == []


def test_structures_that_lost_their_label_map_here_come_back_with_the_next(stored):
    stored.save(kidney=KIDNEY)
    path = stored.datastore.get_label_uri(stored.uid, "final")
    stored.datastore.remove_label(stored.uid, "final")
    stored.datastore.refresh()
    assert path
    saved = stored.save(liver=LIVER)
    np.testing.assert_array_equal(stored.label() == saved.names["kidney"], KIDNEY)


def test_an_empty_structure_is_not_saved_and_erases_nothing(stored):
    stored.save(kidney=KIDNEY)
    saved = stored.save(kidney=KIDNEY & False)
    assert any("kidney" in warning and "no voxel" in warning for warning in saved.warnings)
    np.testing.assert_array_equal(stored.masks()["kidney"], KIDNEY)


def test_a_series_that_can_have_no_segmentation_keeps_its_label_here(stored):
    folder = next((stored.folder / "cache").glob("*")) / stored.uid
    for path in folder.iterdir():
        image = read_back(path)
        del image.FrameOfReferenceUID
        image.save_as(path)
    saved = stored.save(liver=LIVER)
    assert saved.series is None
    assert any("no DICOM SEG" in warning for warning in saved.warnings)
    assert stored.segmentations() == []
    np.testing.assert_array_equal(stored.label(), LIVER)
