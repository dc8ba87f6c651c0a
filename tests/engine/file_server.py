"""A web server on this machine that holds one file, and has the faults that a test gives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class FileServer(ThreadingHTTPServer):
    """Serves `content` at every address; the attributes may change between two requests."""

    daemon_threads = False

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.content = content
        self.status: int | None = None  # answered to everything; None serves the file
        self.content_type = "application/octet-stream"
        self.has_etag = True
        self.sends_parts = True  # False ignores Range
        self.announces_length = True
        self.breaks: list[int | None] = []  # bytes after which each of the next answers ends; None ends none
        self.ranges: list[str | None] = []  # the Range of every request so far
        self.sent = 0  # bytes of all answers so far

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/XMem.pth"

    @property
    def etag(self) -> str:
        return f'"{hash(self.content):x}"'

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is what some tests are about."""


class _Answers(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers["Range"]
        server.ranges.append(wanted)
        if server.status is not None:
            self.answer(server.status, b"")
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.sends_parts else None
        whole = len(server.content)
        if start is None:
            self.answer(200, server.content)
        elif start >= whole:
            self.answer(416, b"", range_said=f"bytes */{whole}")
        else:
            self.answer(206, server.content[start:], range_said=f"bytes {start}-{whole - 1}/{whole}")

    def answer(self, status: int, body: bytes, *, range_said: str | None = None) -> None:
        server = self.server
        self.send_response(status)
        self.send_header("Content-Type", server.content_type)
        if server.announces_length:
            self.send_header("Content-Length", str(len(body)))
        if server.has_etag:
            self.send_header("ETag", server.etag)
        if range_said:
            self.send_header("Content-Range", range_said)
        self.end_headers()
        end = server.breaks.pop(0) if server.breaks else None
        server.sent += len(body[:end])
        self.wfile.write(body[:end])  # HTTP/1.0: the connection ends with the answer

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """The server, until the block ends."""
    with FileServer(content) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
