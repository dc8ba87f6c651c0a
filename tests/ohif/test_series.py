"""Which series of a DICOMweb server are images, and what happens when one cannot be had."""

import httpx
import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.app.videos import SEED_FRAME, centre, colour_frames, grey_frames, truth, write_dicom
from tests.ohif.acquisitions import JPEG_2000_START, Acquisition, compressed, read_back, write_report, write_series
from tests.ohif.test_directions import BACKGROUND, CENTRE, object_at, picture

MODALITIES = ("CT", "MR", "PT", "US", "OT")


def test_series_of_every_modality_are_offered_and_answered(store, tmp_path):
    before = store.listed()
    series = [
        store.add(write_series(tmp_path / one, picture(object_at()), Acquisition(modality=one))) for one in MODALITIES
    ]
    assert store.listed_after(before) == before + len(MODALITIES)
    for one in series:
        assert store.infer(one.uid, [list(CENTRE)], BACKGROUND, propagate=False)[CENTRE] > 0


def test_a_series_without_images_is_not_offered(store, tmp_path):
    before = store.listed()
    study = store.add(write_series(tmp_path / "images", picture(object_at()), Acquisition())).study
    store.add(write_report(tmp_path / "report", study))
    assert store.listed_after(before) == before + 1


def test_a_compressed_series_is_fetched_as_it_is_stored(store, tmp_path):
    """Orthanc cannot decompress JPEG 2000: nobody but the reader has to."""
    volume = picture(object_at())
    plain = write_series(tmp_path, volume, Acquisition(plane="sagittal", descending=True))
    series = store.add(compressed(plain))
    labels = store.infer(series.uid, [list(CENTRE)], BACKGROUND, propagate=False)
    assert labels[CENTRE] > 0
    frames = (
        f"studies/{series.study}/series/{series.uid}/instances/{read_back(series.files[0]).SOPInstanceUID}/frames/1"
    )
    wanted = {"accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
    frame = httpx.get(f"{store.app}/proxy/dicom/wado/{frames}", headers=wanted, timeout=60)  # as OHIF asks for it
    assert frame.status_code == 200
    assert JPEG_2000_START in frame.content


@pytest.mark.parametrize("frames", [grey_frames(), colour_frames()], ids=["grey", "colour"])
def test_a_clip_of_ultrasound_is_a_volume_of_its_frames(store, tmp_path, frames):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "PatientID": "CLIP"}
    write_dicom(tmp_path / "clip.dcm", frames, **uids)
    store.orthanc.store((tmp_path / "clip.dcm").read_bytes())
    clicked = (*centre(SEED_FRAME), SEED_FRAME)
    labels = store.infer(uids["SeriesInstanceUID"], [list(clicked)], propagate=False)
    assert labels.shape == truth().shape
    assert labels[clicked] > 0


@pytest.mark.parametrize("image", ["1.2.3.4.5", "", "..", "../../", "1.2.3/../..", "nothing"])
def test_an_unknown_series_is_refused_with_a_sentence(store, image):
    reply = store.post(image, [[1, 2, 3]])
    assert reply.status_code in (400, 404)
    assert "image" in reply.json()["detail"]


def test_slices_of_a_download_that_was_interrupted_do_not_pass_for_the_series(store, tmp_path):
    volume = picture(object_at())
    series = store.add(write_series(tmp_path, volume, Acquisition(descending=True)))
    half = next(store.folder.glob("images/*")) / series.uid
    half.mkdir()
    for path in series.files[:4]:
        (half / path.name).write_bytes(path.read_bytes())
    labels = store.infer(series.uid, [list(CENTRE)], BACKGROUND, propagate=False)
    assert labels.shape == volume.shape


def test_slices_of_two_sizes_are_refused_with_a_sentence(store, tmp_path):
    wide = write_series(tmp_path / "wide", picture(object_at()), Acquisition())
    small = write_series(tmp_path / "small", picture(object_at())[:32, :, :3], Acquisition(), same=wide)
    store.add(wide)
    store.add(small)
    reply = store.post(wide.uid, [list(CENTRE)])
    assert reply.status_code == 422
    assert "one volume" in reply.json()["detail"]


def test_the_same_request_twice_gives_the_same_answer(store, tmp_path):
    series = store.add(write_series(tmp_path, picture(object_at()), Acquisition(plane="coronal")))
    first = store.infer(series.uid, [list(CENTRE)], BACKGROUND)
    np.testing.assert_array_equal(store.infer(series.uid, [list(CENTRE)], BACKGROUND), first)


@pytest.mark.parametrize("other", [(12, 28, 10), (12, 28, CENTRE[2])], ids=["elsewhere", "on the same slice"])
def test_a_second_organ_is_not_taken_for_a_correction_of_the_first(store, tmp_path, other):
    """OHIF names no organ, and sends the points of `background` along with those of every organ."""
    series = store.add(write_series(tmp_path, picture(object_at() | object_at(other)), Acquisition()))
    with store.browser() as browser:
        first = store.infer(series.uid, [list(CENTRE)], BACKGROUND, browser=browser)
        assert browser.cookies  # by which the server knows it again
        second = store.infer(series.uid, [list(other)], BACKGROUND, browser=browser)
    assert first[CENTRE] > 0
    assert second[other] > 0
    np.testing.assert_array_equal(second, store.infer(series.uid, [list(other)], BACKGROUND))


def test_a_search_through_the_server_finds_one_patient_and_no_other(store, tmp_path):
    for patient in ("ANNA", "BERTA"):
        volume = picture(object_at())[:, :, :2]
        store.add(write_series(tmp_path / patient, volume, Acquisition(), patient=patient))
    search = httpx.get(f"{store.app}/proxy/dicom/qido/studies", params={"00100020": "ANNA", "limit": 10}, timeout=60)
    assert [study["00100020"]["Value"] for study in search.json()] == [["ANNA"]]


def test_a_point_that_is_both_object_and_background_is_refused_with_a_sentence(store, tmp_path):
    """What OHIF sends when Run is pressed while `background` is still the chosen organ."""
    series = store.add(write_series(tmp_path, picture(object_at()), Acquisition()))
    reply = store.post(series.uid, BACKGROUND, BACKGROUND)
    assert reply.status_code == 422
    assert "background" in reply.json()["detail"]
    assert f"Refused: {reply.json()['detail']}" in store.log.read_text()  # OHIF shows the log, not the reply
