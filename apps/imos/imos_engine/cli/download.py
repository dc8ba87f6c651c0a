"""A large file over HTTP: what broke off goes on, and bytes of two different files never meet."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests

PIECE = 1 << 16  # bytes written at once; of a broken connection the last, incomplete one is lost
PATIENCE = (10, 60)  # seconds to wait for a connection, and for the next bytes
WAITS = (1, 2, 4, 8)  # seconds before each new attempt after a connection broke without bringing anything new
MEGABYTE = 1_000_000
ANSWERS_TO_RANGE = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)

logger = logging.getLogger(__name__)


class DownloadError(RuntimeError):
    """A file that could not be brought; the message says why and what to do."""


class _BrokenConnectionError(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """What a server says about a file: where this changes, the bytes may have changed."""

    url: str
    etag: str | None
    modified: str | None
    size: int | None  # bytes


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How much of a file is here."""

    received: int  # bytes, those of earlier calls included
    size: int | None  # bytes of the whole file; None where the server does not say


def download(
    url: str, path: Path, *, copies: int = 1, wait: Callable[[float], None] = time.sleep
) -> Iterator[Progress]:
    """Bring a file, going on where an earlier call stopped; it is whole when the iterator ends.

    Until `discard`, a description beside it says which file of which server the bytes belong to. If that file is
    another one by now, or the server cannot send a rest, it is brought anew from its first byte.

    Args:
        url: address, http or https; redirections are followed.
        path: where the bytes go.
        copies: how many files of this size the disk must hold, those bytes included.
        wait: pauses for some seconds before a new attempt.

    Raises:
        DownloadError: no connection, no such file, no room, or the connection broke more often than `WAITS` allows.
    """
    furthest, waits = None, iter(WAITS)
    while True:
        try:
            for progress in _transfer(url, path, copies):
                if furthest is not None and progress.received > furthest:
                    waits = iter(WAITS)
                furthest = max(furthest or 0, progress.received)
                yield progress
            return
        except _BrokenConnectionError as broken:
            if furthest is None:
                raise DownloadError(
                    f"no connection to {_host(url)} ({broken}); this needs the internet: check the network, and "
                    "HTTPS_PROXY where there is a proxy"
                ) from broken
            if (pause := next(waits, None)) is None:
                raise DownloadError(
                    f"the connection to {_host(url)} broke ({broken}); run the same command again, it goes on at byte "
                    f"{_length(path):,}"
                ) from broken
            wait(pause)


def discard(path: Path) -> None:
    """Remove what `download` left at `path`, whole or not, and its description."""
    path.unlink(missing_ok=True)
    _description(path).unlink(missing_ok=True)


def _transfer(url: str, path: Path, copies: int) -> Iterator[Progress]:
    """One connection, or two if the file has changed."""
    known = _known(path)
    if known is not None and known.url == url and (start := _length(path)):
        with _request(url, start) as response:
            if _is_whole(response, known, start):
                yield Progress(received=start, size=start)
                return
            goes_on = _goes_on(response, known, start)
            if goes_on or response.status_code == HTTPStatus.OK:  # OK: all of it comes, whatever was asked for
                yield from _receive(response, url, path, start=start if goes_on else 0, copies=copies)
                return
    with _request(url, 0) as response:
        yield from _receive(response, url, path, start=0, copies=copies)


def _request(url: str, start: int) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}  # so that lengths count the file's own bytes
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=PATIENCE)
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
        raise DownloadError(f"{url} is no address of a web server; give one that begins with https://") from None
    except requests.exceptions.SSLError as error:
        raise DownloadError(
            f"{_host(url)} could not prove who it is ({_reason(error)}); behind a proxy that opens connections, name "
            "its certificate in REQUESTS_CA_BUNDLE"
        ) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _BrokenConnectionError(_reason(error)) from error
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be read: {_reason(error)}") from error
    _refuse_what_is_no_file(response, url, start)
    return response


def _refuse_what_is_no_file(response: requests.Response, url: str, start: int) -> None:
    """Refuse errors and login pages before they replace a byte on disk."""
    status = response.status_code
    is_page = status == HTTPStatus.OK and response.headers.get("Content-Type", "").startswith("text/html")
    if not is_page and status in (ANSWERS_TO_RANGE if start else (HTTPStatus.OK,)):
        return
    response.close()
    if is_page:
        raise DownloadError(
            f"{url} answered with a web page, not a file; log in to the network first, or give the file's own address "
            "with --url"
        )
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        remedy = "the file is not there; give its present address with --url"
    elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        remedy = "run the same command again later, it goes on where it stopped"
    else:
        remedy = "give an address with --url that this machine may read"
    raise DownloadError(f"{url} answered {status} {response.reason}: {remedy}")


def _receive(response: requests.Response, url: str, path: Path, *, start: int, copies: int) -> Iterator[Progress]:
    """Append the body to the first `start` bytes on disk."""
    remote = _remote(response, url)
    _require_room(path, remote.size, start, copies)
    if not start:
        if _length(path):
            logger.warning(
                "%s cannot be continued: the server has another file now, or sends only whole ones; starting anew",
                path.name,
            )
        discard(path)
        _description(path).write_text(json.dumps(asdict(remote)), encoding="utf-8")
    received = start
    yield Progress(received=received, size=remote.size)
    try:
        with path.open("ab") as file:
            for piece in response.iter_content(PIECE):
                file.write(piece)
                file.flush()
                received += len(piece)
                if file.tell() != received:
                    raise DownloadError(f"another program writes {path}; wait for it, then run the same command again")
                yield Progress(received=received, size=remote.size)
    except requests.RequestException as error:
        raise _BrokenConnectionError(_reason(error)) from error
    if remote.size is not None and received != remote.size:
        raise _BrokenConnectionError(f"{received:,} of {remote.size:,} bytes came")


def _remote(response: requests.Response, url: str) -> RemoteFile:
    """What the answer says about the whole file."""
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else None
    if response.status_code != HTTPStatus.OK:
        size = _range(response)[1]
    return RemoteFile(
        url=url, etag=response.headers.get("ETag"), modified=response.headers.get("Last-Modified"), size=size
    )


def _goes_on(response: requests.Response, known: RemoteFile, start: int) -> bool:
    """Whether the answer is the rest, from byte `start` on, of the very file that is known."""
    is_rest = response.status_code == HTTPStatus.PARTIAL_CONTENT and _range(response)[0] == start
    return is_rest and known.size is not None and _remote(response, known.url) == known


def _is_whole(response: requests.Response, known: RemoteFile, start: int) -> bool:
    """Whether the server has nothing after byte `start` of the file that is known."""
    if response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return False
    return start == known.size == _range(response)[1] and response.headers.get("ETag", known.etag) == known.etag


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte of the answer, and size of the whole file; None for what is not said."""
    said = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    first, size = said.groups() if said else (None, None)
    return int(first) if first else None, int(size) if size and size != "*" else None


def _require_room(path: Path, size: int | None, start: int, copies: int) -> None:
    if size is None:
        return
    needed, free = copies * size - start, shutil.disk_usage(path.absolute().parent).free
    if free < needed:
        raise DownloadError(
            f"{path.absolute().parent} has room for {free / MEGABYTE:,.0f} MB and {needed / MEGABYTE:,.0f} MB are "
            "needed; make room, or choose a place on another disk with --output"
        )


def _known(path: Path) -> RemoteFile | None:
    """What the bytes at `path` are a part of."""
    try:
        return RemoteFile(**json.loads(_description(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # nothing there, or nothing that this version wrote: the bytes cannot be used


def _description(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _reason(error: BaseException) -> str:
    """The innermost cause, which names the trouble; what wraps it repeats the address."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
