"""Which series of a DICOMweb server are images, and what happens when one cannot be had."""

import httpx
import numpy as np
import pytest

from tests.ohif.acquisitions import Acquisition, write_report, write_series
from tests.ohif.test_directions import BACKGROUND, CENTRE, object_at, picture


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "US", "OT"])
def test_a_series_of_any_modality_is_offered_and_answered(store, tmp_path, modality):
    before = store.listed()
    series = store.add(write_series(tmp_path, picture(object_at()), Acquisition(modality=modality)))
    assert store.listed() == before + 1
    labels = store.infer(series.uid, [list(CENTRE)], BACKGROUND, propagate=False)
    assert labels[CENTRE] > 0


def test_a_series_without_images_is_not_offered(store, tmp_path):
    series = store.add(write_series(tmp_path / "images", picture(object_at()), Acquisition()))
    before = store.listed()
    store.add(write_report(tmp_path / "report", series.study))
    assert store.listed() == before


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
