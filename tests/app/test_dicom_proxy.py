"""OHIF's way to the DICOMweb server: what is asked there, without a server."""

import asyncio

import monailabel.endpoints.proxy as host
import pytest
import requests
from fastapi import Request
from monailabel.config import settings

from lib.dicom_proxy import address_of, forward_requests
from lib.errors import RequestError
from scripts.processes import free_port


@pytest.fixture
def proxy(monkeypatch):
    """Ours, on an address where nobody listens."""
    monkeypatch.setattr(host, "proxy_dicom", host.proxy_dicom)  # put back afterwards
    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", f"http://127.0.0.1:{free_port()}/dicom-web/")
    forward_requests()
    return lambda *arguments: asyncio.run(host.proxy_dicom(*arguments))


def asked(method="GET", query=b"", body=b"", **headers):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/", "query_string": query, "headers": named}
    return Request(scope | {"server": ("localhost", 80), "scheme": "http"}, receive)


def heard(monkeypatch):
    """Answer in place of the DICOMweb server; returns what it was asked."""
    questions = []

    def answer(method, address, **options):
        questions.append({"method": method, "address": address, **options})
        reply = requests.Response()
        reply.status_code, reply._content = 206, b"slices"
        reply.headers.update({"Content-Type": "image/jp2", "Content-Encoding": "gzip", "Connection": "close"})
        return reply

    monkeypatch.setattr(requests, "request", answer)
    return questions


def test_a_request_arrives_with_its_query_and_with_what_it_accepts(proxy, monkeypatch):
    questions = heard(monkeypatch)
    reply = proxy(asked(query=b"PatientID=7&limit=1", accept="image/jp2", cookie="secret"), "qido", "studies")
    (question,) = questions
    assert question["address"] == f"{settings.MONAI_LABEL_STUDIES.rstrip('/')}/studies"
    assert question["params"] == "PatientID=7&limit=1"
    assert question["headers"] == {"accept": "image/jp2"}
    assert (reply.status_code, reply.body) == (206, b"slices")
    assert reply.headers["content-type"] == "image/jp2"
    assert "content-encoding" not in reply.headers  # what came was unpacked on the way


def test_what_is_stored_through_it_arrives(proxy, monkeypatch):
    questions = heard(monkeypatch)
    proxy(asked("POST", body=b"instance", content_type="multipart/related"), "stow", "studies")
    assert questions[0]["method"] == "POST"
    assert questions[0]["data"] == b"instance"
    assert questions[0]["headers"] == {"content-type": "multipart/related"}


def test_a_server_that_does_not_answer_is_named_in_a_sentence(proxy):
    with pytest.raises(
        RequestError, match=r"DICOMweb server http://127.0.0.1:\d+/dicom-web/ did not answer"
    ) as refusal:
        proxy(asked(), "wado", "studies")
    assert refusal.value.status_code == 502


def test_putting_it_in_place_twice_changes_nothing(proxy):
    theirs = host.proxy_dicom.in_place_of
    forward_requests()
    assert host.proxy_dicom.in_place_of is theirs


@pytest.mark.parametrize(
    ("service", "path", "expected"),
    [
        ("wado", "studies/1", "http://store/wado/studies/1"),
        ("qido", "studies", "http://store/qido/studies"),
        ("qido", "studies/1/metadata", "http://store/wado/studies/1/metadata"),
        ("", "studies", "http://store/studies"),
    ],
)
def test_every_service_may_have_its_own_prefix(monkeypatch, service, path, expected):
    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", "http://store/")
    monkeypatch.setattr(settings, "MONAI_LABEL_WADO_PREFIX", "wado")
    monkeypatch.setattr(settings, "MONAI_LABEL_QIDO_PREFIX", "/qido/")
    assert address_of(service, path) == expected
