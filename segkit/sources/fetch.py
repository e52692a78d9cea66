"""Files over HTTP: continued where they broke off, tried again a few times, never larger than agreed.

A download to ``NAME`` has two companions until it is discarded: ``NAME.part``, the bytes so far, and
``NAME.from``, one text that says which file these are bytes of, so that different files are never mixed.
"""

import os
import re
import time
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError

from segkit.base import progress
from segkit.base.errors import InputError
from segkit.sources import connection
from segkit.sources.connection import Transient

PAUSES = (1.0, 5.0)  # seconds before the second and the third attempt, if the server does not ask for more

_CHUNK = 1 << 18  # bytes

Pause = Callable[[float], None]


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
    for seconds in PAUSES:
        try:
            return _attempt(url, path, identity, max_bytes)
        except Transient as error:
            pause(max(seconds, error.wait))
    try:
        return _attempt(url, path, identity, max_bytes)
    except Transient as error:
        raise InputError(f"{error}, {len(PAUSES) + 1} attempts") from None


def discard(path: Path) -> None:
    """Remove a download, whole or partial; a file at ``path`` that did not come from here stays."""
    if _origin_file(path).exists():
        _begin(path)
        _origin_file(path).unlink()


def _attempt(url: str, path: Path, identity: str, max_bytes: int) -> bool:
    """One request; returns whether it continued a partial file."""
    part = _part(path)
    offset = part.stat().st_size if _origin(path) == identity and part.exists() else 0
    with connection.ask(url, offset) as response:
        span = _span(response, offset)
        if span is None:
            part.unlink(missing_ok=True)
            raise Transient("the server sent other bytes than it was asked for")
        if span.total is not None:
            _refuse_above(max_bytes, span.total)
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        # Servers label every .gz file as compressed, and send it as it is.
        if encoding != "identity" and (encoding not in ("gzip", "x-gzip") or path.suffix != ".gz"):
            raise InputError(f"the server sent the file compressed ({encoding[:20]!r}) although asked not to")
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
        match = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18})", place)
        return _Span(offset, int(match[2])) if match and int(match[1]) == offset < int(match[2]) else None
    if response.status == 200:
        return _Span(0, response.length)
    raise InputError(f"the server answered {response.status}, not 200")


def _begin(path: Path) -> None:
    """Make room for a new download."""
    path.unlink(missing_ok=True)
    _part(path).unlink(missing_ok=True)


def _save(response: HTTPResponse, path: Path, span: _Span, max_bytes: int) -> None:
    """Append the body to the partial file, at most up to the length that was announced, and check that length."""
    size = span.start
    shown = progress.bar(label=path.name, total=span.total, initial=size, unit="B", unit_scale=True)
    with shown, open(_part(path), "ab") as file:
        while chunk := connection.read(response, _CHUNK if span.total is None else min(_CHUNK, span.total - size)):
            size += len(chunk)
            if size > max_bytes:
                discard(path)
            _refuse_above(max_bytes, size)
            file.write(chunk)
            shown.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    # http.client ends a body that was cut off like one that is complete.
    if span.total is not None and size < span.total:
        raise Transient(f"the connection broke off after {size} of {span.total} bytes")


def _refuse_above(max_bytes: int, size: int) -> None:
    if size > max_bytes:
        raise InputError(f"larger than the {max_bytes} bytes expected at most")


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _origin_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.from")


def _origin(path: Path) -> str | None:
    """The identity of the bytes at ``path`` or in its partial file; None where there are none."""
    file = _origin_file(path)
    return file.read_text(encoding="utf-8") if file.exists() else None
