"""Files over HTTP: continued where they broke off, tried again a few times, never larger than agreed.

A download to ``NAME`` has two companions until it is discarded: ``NAME.part``, the bytes so far, and
``NAME.from``, one text that says which file these are bytes of, so that different files are never mixed.
"""

import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.error import HTTPError

from segkit import progress
from segkit.errors import InputError

TIMEOUT = 30.0  # seconds without a sign of life from the server
PAUSES = (1.0, 5.0)  # seconds before the second and the third attempt

_CHUNK = 1 << 18  # bytes
_DROPPED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, TimeoutError, ssl.SSLEOFError)

T = TypeVar("T")
Pause = Callable[[float], None]


class NotFoundOnServer(InputError):
    """The server is there and says that the file is not."""


class _Transient(Exception):
    """A failure that may be gone at the next attempt."""


def download(url: str, path: Path, *, identity: str, max_bytes: int, pause: Pause = time.sleep) -> bool:
    """Bring the file at ``url`` (http or https) to ``path``, whole or not at all.

    identity: names the file's content, a checksum where one is known, else its address. Bytes that an earlier
    call left at ``path`` or ``path.part`` under the same identity are used; others are replaced as soon as
    this server answers. max_bytes: a larger body is refused. pause: waits so many seconds.

    Returns whether the file was continued or found rather than fetched in one piece: one that then fails
    its check deserves a second download. Raises NotFoundOnServer, or InputError with the reason; OSError
    where ``path`` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _origin(path) == identity and path.exists():
        return True
    return _with_retries(lambda: _attempt(url, path, identity, max_bytes), pause)


def read(url: str, *, max_bytes: int, pause: Pause = time.sleep) -> bytes:
    """The body of a small file at ``url``; raises NotFoundOnServer, or InputError with the reason."""

    def attempt() -> bytes:
        with _open(url) as response:
            span = _span(response, 0)
            body = b""
            while chunk := _read_chunk(response):
                body += chunk
                _refuse_above(max_bytes, len(body))
            _require_whole(len(body), span.total if span else None)
            return body

    return _with_retries(attempt, pause)


def discard(path: Path) -> None:
    """Remove a download, whole or partial; a file at ``path`` that did not come from here stays."""
    if _origin_file(path).exists():
        _begin(path)
        _origin_file(path).unlink()


def _with_retries(attempt: Callable[[], T], pause: Pause) -> T:
    for seconds in PAUSES:
        try:
            return attempt()
        except _Transient:
            pause(seconds)
    try:
        return attempt()
    except _Transient as error:
        raise InputError(f"{error}, {len(PAUSES) + 1} attempts") from None


def _attempt(url: str, path: Path, identity: str, max_bytes: int) -> bool:
    """One request; returns whether it continued a partial file."""
    part = _part(path)
    offset = part.stat().st_size if _origin(path) == identity and part.exists() else 0
    with _open(url, offset) as response:
        span = _span(response, offset)
        if span is None:
            part.unlink()
            raise _Transient("the server did not continue a broken download")
        if span.total is not None:
            _refuse_above(max_bytes, span.total)
        if span.start == 0:
            _begin(path)
            _origin_file(path).write_text(identity, encoding="utf-8")
        if response.status != 416:
            _save(response, path, span, max_bytes)
    os.replace(part, path)
    return span.start > 0


class _Span(NamedTuple):
    """Which bytes a response carries: those from ``start`` on; ``total``: the whole file's size, if known."""

    start: int
    total: int | None


def _span(response: HTTPResponse | HTTPError, offset: int) -> _Span | None:
    """What the server answers to a request for the bytes from ``offset``; None if it makes no sense."""
    place = response.headers.get("Content-Range", "").strip()
    if response.status == 416:
        # Nothing follows the bytes that are here: either they are the whole file or they belong to another.
        return _Span(offset, offset) if place == f"bytes */{offset}" else None
    if response.headers.get_content_type() == "text/html":
        raise InputError("the server sent a web page (text/html), not the file")
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", place)
        return _Span(offset, int(match[2])) if match and int(match[1]) == offset else None
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        return _Span(0, int(length) if length.isdecimal() else None)
    raise InputError(f"the server answered {response.status}, not 200")


def _begin(path: Path) -> None:
    """Make room for a new download."""
    path.unlink(missing_ok=True)
    _part(path).unlink(missing_ok=True)


def _save(response: HTTPResponse, path: Path, span: _Span, max_bytes: int) -> None:
    """Append the body to the partial file and check its length."""
    size = span.start
    shown = progress.bar(label=path.name, total=span.total, initial=size, unit="B", unit_scale=True)
    with shown, open(_part(path), "ab") as file:
        while chunk := _read_chunk(response):
            size += len(chunk)
            if size > max_bytes:
                discard(path)
            _refuse_above(max_bytes, size)
            file.write(chunk)
            shown.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    _require_whole(size, span.total)
    if span.total is not None and size > span.total:
        discard(path)
        raise _Transient(f"the server sent {size} bytes of a file that it says has {span.total}")


def _require_whole(size: int, total: int | None) -> None:
    # http.client ends a body that was cut off like one that is complete.
    if total is not None and size < total:
        raise _Transient(f"the connection broke off after {size} of {total} bytes")


def _refuse_above(max_bytes: int, size: int) -> None:
    if size > max_bytes:
        raise InputError(f"larger than the {max_bytes} bytes expected at most")


def _read_chunk(response: HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Transient(f"the connection broke off ({_one_line(error)})") from None


def _open(url: str, offset: int = 0) -> HTTPResponse | HTTPError:
    """Send the request; a 416 answer to a Range request is returned, any other failure raised."""
    headers = {"User-Agent": "segkit", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and offset:
            return error
        error.close()
        reason = f"the server answered {error.code} {error.reason}"
        if error.code in (404, 410):
            raise NotFoundOnServer(reason) from None
        raise (_Transient if error.code == 429 or error.code >= 500 else InputError)(reason) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        kind = _Transient if isinstance(cause, _DROPPED) else InputError
        raise kind(f"the request failed ({_one_line(cause)})") from None


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _origin_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.from")


def _origin(path: Path) -> str | None:
    """The identity of the bytes at ``path`` or in its partial file; None where there are none."""
    file = _origin_file(path)
    return file.read_text(encoding="utf-8") if file.exists() else None


def _one_line(cause: object) -> str:
    return " ".join(str(cause).split()) or type(cause).__name__
