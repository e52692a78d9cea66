"""A web server on loopback that misbehaves on request, and archives made in memory."""

import gzip
import io
import re
import ssl
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 2000  # what f.gz holds in tests of one file


@dataclass
class Site:
    """What the server holds, how it behaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)  # statuses of the next answers in place of the file
    cuts: list[int] = field(default_factory=list)  # the next bodies end after so many bytes
    silences: list[float] = field(default_factory=list)  # seconds before the next answers
    raw: list[Iterable[bytes]] = field(default_factory=list)  # the next answers, as the pieces that go over the wire
    stall: tuple[str, int, threading.Event] | None = None  # a file's body stops after so many bytes until the event
    ranges: bool = True
    lengths: bool = True
    content_type: str = "application/x-gzip"
    content_range: str | None = None  # sent in place of the true one
    validators: dict[str, str] = field(default_factory=dict)  # ETag, Last-Modified
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    conditions: list[str | None] = field(default_factory=list)  # If-Range
    logins: list[str | None] = field(default_factory=list)  # Authorization
    url: str = ""


@contextmanager
def serve(site: Site, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve ``site`` until the block ends; over https where ``tls`` is given."""

    class Handler(_Handler):
        pass

    Handler.site = site
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        site.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, name = self.site, self.path.lstrip("/")
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        site.asked.append((name, asked))
        site.conditions.append(condition)
        site.logins.append(self.headers.get("Authorization"))
        if site.silences:
            time.sleep(site.silences.pop(0))
        if site.raw:
            return self._send(site.raw.pop(0))
        if site.answers and (status := site.answers.pop(0)) != 200:
            return self._answer(status, b"")
        if name not in site.files:
            return self._answer(404, b"nothing here")
        body = site.files[name]
        if not (asked and site.ranges) or (condition and condition not in site.validators.values()):
            return self._answer(200, body)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if start >= len(body):
            return self._answer(416, b"<html>no such range", f"bytes */{len(body)}")
        place = site.content_range or f"bytes {start}-{len(body) - 1}/{len(body)}"
        return self._answer(206, body[start:], place)

    def _answer(self, status: int, body: bytes, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", self.site.content_type)
        if self.site.lengths:
            self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        for validator in self.site.validators.items():
            self.send_header(*validator)
        self.end_headers()
        if status in (200, 206) and self.site.cuts:
            body = body[: self.site.cuts.pop(0)]
        if self.site.stall and self.path == f"/{self.site.stall[0]}":
            _, size, event = self.site.stall
            self.wfile.write(body[:size])
            event.wait(60)
            body = body[size:]
        self._send([body])

    def _send(self, pieces: Iterable[bytes]) -> None:
        """Write until the client has had enough of it."""
        with suppress(OSError):
            for piece in pieces:
                self.wfile.write(piece)

    def log_message(self, *args: object) -> None:
        pass


def answer(*head: str, body: bytes = b"") -> bytes:
    """The bytes of an answer: status line, header lines, body."""
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def drip(content: bytes, seconds: float) -> Iterator[bytes]:
    """One byte at a time."""
    for value in content:
        yield bytes([value])
        time.sleep(seconds)


def member(name: str, content: bytes = b"x", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A regular file for ``pack``, or whatever the attributes of TarInfo make of it."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def tar_bytes(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar archive, not compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def pack(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A ``.tar.gz`` archive."""
    return gzip.compress(tar_bytes(*members), mtime=0)
