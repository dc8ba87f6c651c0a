"""Which series are asked for, and how they are fetched, without a DICOMweb server."""

import pytest
import requests
from monailabel.config import settings

from lib.datastore.dicom_series import AS_STORED, DicomSeries
from lib.errors import RequestError

SERIES = "1.2.3"
FILTER = "MONAI_LABEL_DICOMWEB_SEARCH_FILTER"


class Client:
    """A DICOMweb server with one series, which fails where it is told to."""

    base_url = "http://store"

    def __init__(self, *, fails=()):
        self.fails = fails
        self.asked = []

    def search_for_series(self, search_filters):
        self.asked.append(search_filters)
        if "search" in self.fails:
            raise requests.ConnectionError("gone")
        return [{"0020000D": {"Value": ["1.2"]}, "0020000E": {"Value": [SERIES]}, "00080060": {"Value": ["US"]}}]

    def retrieve_series(self, study, series, media_types=None):
        self.asked.append((study, series, media_types))
        if media_types in self.fails:
            raise requests.HTTPError("406")
        return []


@pytest.fixture
def serve(tmp_path):
    """A datastore on a client of ours."""
    return lambda client, **options: DicomSeries(client, cache_path=str(tmp_path), search_filter={}, **options)


@pytest.mark.parametrize(("chosen", "asked"), [(False, {}), (True, {"Modality": "MR"})])
def test_every_modality_is_asked_for_unless_the_site_says_otherwise(tmp_path, monkeypatch, chosen, asked):
    fields = settings.model_fields_set | {FILTER} if chosen else settings.model_fields_set - {FILTER}
    monkeypatch.setattr(type(settings), "model_fields_set", property(lambda self: fields))
    client = Client()
    DicomSeries(client, cache_path=str(tmp_path), search_filter={"Modality": "MR"}).list_images()
    assert client.asked == [asked]


def test_a_series_is_fetched_as_it_is_stored(serve, tmp_path):
    client = Client()
    serve(client)._fetch("1.2", SERIES, tmp_path / SERIES)
    assert client.asked == [("1.2", SERIES, AS_STORED)]
    assert (tmp_path / SERIES).is_dir()


def test_a_server_that_gives_only_what_it_decompressed_is_asked_again(serve, tmp_path):
    client = Client(fails=(AS_STORED,))
    serve(client)._fetch("1.2", SERIES, tmp_path / SERIES)
    assert client.asked[-1] == ("1.2", SERIES, None)


@pytest.mark.parametrize("fails", [("search",), (AS_STORED, None)])
def test_a_server_that_fails_is_named_and_nothing_half_fetched_stays(serve, tmp_path, fails):
    store = serve(Client(fails=fails))
    with pytest.raises(RequestError, match="DICOMweb server http://store failed") as refusal:
        store.get_image_uri(SERIES)
    assert refusal.value.status_code == 502
    assert not list(tmp_path.rglob(f"{SERIES}*"))
