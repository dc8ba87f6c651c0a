"""What `download` promises against a server with faults: the bytes of one file, or the reason why not."""

from __future__ import annotations

import random
import shutil
import socket
from collections import namedtuple

import pytest

from imos_engine.cli import download as module
from imos_engine.cli.download import WAITS, DownloadError, discard, download
from tests.engine.file_server import serving

CONTENT = random.Random(0).randbytes(5_000)
OTHER = random.Random(1).randbytes(5_000)  # the same length, so that only its tag tells


@pytest.fixture(autouse=True)
def direct_and_small(monkeypatch):
    """No proxy between the test and its server, and pieces small enough that a file has several."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "PIECE", 1000)


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.part.pth"


def bring(server, path, *, waits=None, **options):
    pauses = [] if waits is None else waits
    return list(download(server.url, path, wait=pauses.append, **options))


def bring_half(server, path):
    """What an interrupted call leaves: 2,000 bytes."""
    progress = download(server.url, path)
    while next(progress).received < 2_000:
        pass
    progress.close()
    assert path.stat().st_size == 2_000


def test_a_file_comes_whole_with_progress_that_only_grows(server, path):
    reports = bring(server, path)
    assert path.read_bytes() == CONTENT
    received = [report.received for report in reports]
    assert received == sorted(received)
    assert (received[0], received[-1]) == (0, len(CONTENT))
    assert {report.size for report in reports} == {len(CONTENT)}


def test_an_interrupted_download_asks_only_for_the_rest(server, path):
    bring_half(server, path)
    server.sent = 0
    reports = bring(server, path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000-"]
    assert server.sent == 3_000
    assert reports[0].received == 2_000


def test_a_connection_that_breaks_is_taken_up_again_in_the_same_call(server, path):
    server.breaks = [2_000, 2_000]
    waits = []
    bring(server, path, waits=waits)
    assert path.read_bytes() == CONTENT
    assert [wanted for wanted in server.ranges if wanted] == ["bytes=2000-", "bytes=4000-"]
    assert waits == [WAITS[0], WAITS[0]]  # what brings something is no failure


def test_a_connection_that_brings_nothing_more_is_given_up_and_what_came_is_kept(server, path):
    server.breaks = [2_000, *[0] * 20]
    waits = []
    with pytest.raises(DownloadError, match="run the same command again, it goes on at byte 2,000"):
        bring(server, path, waits=waits)
    assert waits == list(WAITS)
    assert path.read_bytes() == CONTENT[:2_000]


@pytest.mark.parametrize("has_etag", [True, False], ids=["by its tag", "by its size"])
def test_bytes_of_two_files_never_meet(server, path, has_etag):
    server.has_etag = has_etag
    bring_half(server, path)
    server.content = OTHER if has_etag else OTHER + b"longer"
    bring(server, path)
    assert path.read_bytes() == server.content


def test_a_file_that_became_shorter_than_what_came_is_brought_anew(server, path):
    bring_half(server, path)
    server.content = OTHER[:1_000]
    bring(server, path)
    assert path.read_bytes() == OTHER[:1_000]


def test_the_same_bytes_at_another_address_are_brought_anew(server, path):
    bring_half(server, path)
    list(download(f"{server.url}?mirror", path))
    assert server.ranges == [None, None]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [None, "", "{}", '{"url": 3', '["etag"]'])
def test_bytes_of_unknown_origin_are_not_used(server, path, left):
    path.write_bytes(b"of something else")
    if left is not None:
        path.with_name(f"{path.name}.json").write_text(left)
    bring(server, path)
    assert server.ranges == [None]
    assert path.read_bytes() == CONTENT


def test_a_server_without_parts_sends_everything_again(server, path):
    bring_half(server, path)
    server.sends_parts = False
    bring(server, path)
    assert path.read_bytes() == CONTENT


def test_a_server_without_parts_that_always_breaks_is_given_up(server, path):
    server.sends_parts, server.breaks = False, [1_500] * 50
    with pytest.raises(DownloadError, match="broke"):
        bring(server, path)
    assert len(server.ranges) == 1 + len(WAITS)


def test_a_whole_file_is_not_brought_twice(server, path):
    bring(server, path)
    server.sent = 0
    reports = bring(server, path)
    assert server.sent == 0
    assert reports[-1].received == len(CONTENT)
    assert path.read_bytes() == CONTENT


def test_a_whole_file_that_has_changed_since_is_brought_anew(server, path):
    bring(server, path)
    server.content = OTHER
    bring(server, path)
    assert path.read_bytes() == OTHER


def test_a_server_that_does_not_say_the_length_is_read_to_its_end(server, path):
    server.announces_length = False
    reports = bring(server, path)
    assert path.read_bytes() == CONTENT
    assert {report.size for report in reports} == {None}


def test_a_file_without_a_known_length_is_not_continued(server, path):
    server.announces_length = False
    bring_half(server, path)
    bring(server, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "404 Not Found: the file is not there; give its present address with --url"),
        (403, "403 Forbidden: give an address"),
        (503, "503 Service Unavailable: run the same command again later"),
        (206, "206 Partial Content: give an address"),  # nobody asked for a part
    ],
)
def test_an_answer_that_is_no_file_is_told_with_what_to_do(server, path, status, words):
    server.status = status
    with pytest.raises(DownloadError, match=words):
        bring(server, path)
    assert not path.exists()


@pytest.mark.parametrize(("status", "content_type"), [(None, "text/html; charset=utf-8"), (503, "text/plain")])
def test_a_page_instead_of_the_file_leaves_what_came_before(server, path, status, content_type):
    bring_half(server, path)
    server.status, server.content_type, server.sends_parts = status, content_type, False
    with pytest.raises(DownloadError, match="answered"):
        bring(server, path)
    server.status, server.content_type, server.sends_parts = None, "application/octet-stream", True
    assert bring(server, path)[0].received == 2_000
    assert path.read_bytes() == CONTENT


def test_without_a_connection_it_says_so_at_once(path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and not listening
        with pytest.raises(DownloadError, match=r"no connection to 127\.0\.0\.1 .*refused.*needs the internet"):
            list(download(f"http://127.0.0.1:{nobody.getsockname()[1]}/", path, wait=pytest.fail))
    assert not path.exists()


@pytest.mark.parametrize("url", ["XMem.pth", "ftp://example.org/XMem.pth", "https://", "file:///XMem.pth"])
def test_what_is_no_address_of_a_web_server_is_refused(path, url):
    with pytest.raises(DownloadError, match="no address of a web server"):
        list(download(url, path))


@pytest.mark.parametrize(("free", "copies", "fits"), [(5_000, 1, True), (9_999, 2, False), (10_000, 2, True)])
def test_a_disk_without_room_is_told_before_anything_is_written(server, path, monkeypatch, free, copies, fits):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 0, free))
    if fits:
        bring(server, path, copies=copies)
        assert path.read_bytes() == CONTENT
    else:
        with pytest.raises(DownloadError, match="make room"):
            bring(server, path, copies=copies)
        assert list(path.parent.iterdir()) == []


def test_what_came_before_needs_no_room_again(server, path, monkeypatch):
    bring_half(server, path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 0, 3_000))
    bring(server, path)
    assert path.read_bytes() == CONTENT


def test_two_programs_that_write_the_same_file_do_not_mix_it(server, path):
    progress = download(server.url, path)
    while next(progress).received < 1_000:
        pass
    bring(server, path)
    with pytest.raises(DownloadError, match="another program writes"):
        list(progress)


def test_discard_leaves_nothing_behind(server, path):
    bring_half(server, path)
    discard(path)
    assert list(path.parent.iterdir()) == []
    discard(path)
