"""Requests to web servers that may be slow, silent or hostile: every wait and every line is bounded."""

import http.client
import io
import math
import re
import ssl
import time
import urllib.request
from http.client import HTTPResponse
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from segkit.base.errors import InputError

TIMEOUT = 30.0  # seconds without a sign of life from the server
WINDOW = 60.0  # seconds of waiting in which the headers must have come, and of the body at least ...
LEAST = 60_000  # ... so many bytes; an old telephone line brings five times as many
MOST = 1 << 20  # bytes of headers, of trailers, or of chunks' sizes and extensions around one piece of the body
LONGEST_WAIT = 60  # seconds that a server may ask for before the next attempt

_DROPPED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, TimeoutError, ssl.SSLEOFError)


class NotFoundOnServer(InputError):
    """The server is there and says that the file is not."""


class Transient(Exception):
    """A failure that may be gone at the next attempt; ``wait``: after so many seconds, says the server."""

    wait = 0


def ask(url: str, offset: int = 0) -> HTTPResponse | HTTPError:
    """Request the bytes from ``offset`` on and follow redirects, but not out of https or the web.

    A 416 answer to a Range request is returned; any other failure is raised as NotFoundOnServer, Transient or
    InputError.
    """
    headers = {"User-Agent": "segkit", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    opener = urllib.request.build_opener(_Web, _Redirects)
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and offset:
            return error
        error.close()
        raise _failure(error) from None
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        kind = Transient if isinstance(cause, _DROPPED) else InputError
        raise kind(f"the request failed ({_one_line(cause)})") from None


def read(response: HTTPResponse, size: int) -> bytes:
    """What is there of the next ``size`` bytes of the body, at least one; none at its end. Raises Transient."""
    try:
        return response.read1(size)
    except (OSError, http.client.HTTPException) as error:
        raise Transient(f"the connection broke off ({_one_line(error)})") from None


def _failure(answer: HTTPError) -> Exception:
    reason = _one_line(f"the server answered {answer.code} {answer.reason}")
    if answer.code in (404, 410):
        return NotFoundOnServer(reason)
    if answer.code != 429 and answer.code < 500:
        return InputError(reason)
    failure = Transient(reason)
    wait = answer.headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,9}", wait) and int(wait) <= LONGEST_WAIT:
        failure.wait = int(wait)
    return failure


def _one_line(cause: object) -> str:
    """What somebody else's text says, printable and short: servers write what they like."""
    text = " ".join(str(cause).split()) or type(cause).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text[:250])


class _Paced(io.RawIOBase):
    """A server's bytes; TimeoutError when they come too slowly. A time-out on its own lasts as long as they drip.
    ConnectionAbortedError when more than ``left`` came: http.client reads interim answers and trailers without end."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._waited, self._came = 0.0, 0
        self.left = MOST
        self.least = math.inf  # bytes per window: infinitely many, as headers must end within the first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:
        start = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - start
        self._came += count or 0
        self.left -= count or 0
        if self.left < 0:
            raise ConnectionAbortedError(f"over {MOST} bytes of headers or trailers")
        if self._waited > WINDOW:
            if self._came < self.least:
                raise TimeoutError(f"{self._came} bytes in {self._waited:.0f} seconds")
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(HTTPResponse):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._paced = _Paced(self.fp.detach())
        self.fp = io.BufferedReader(self._paced)

    def begin(self) -> None:
        super().begin()
        self._paced.least = LEAST

    def read1(self, size: int = -1) -> bytes:
        self._paced.left = MOST
        return super().read1(size)


class _Http(http.client.HTTPConnection):
    response_class = _PacedResponse


class _Https(http.client.HTTPSConnection):
    response_class = _PacedResponse


class _Web(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Http, request)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Https, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, answer, code, message, headers, url):
        answer.close()  # urllib would read its body, however long
        if urlsplit(url).scheme not in (request.type, "https"):
            message = f"{message} - Redirection to url '{url}' is not allowed"  # as urllib puts it
            raise HTTPError(url, code, message, headers, answer)
        return super().redirect_request(request, answer, code, message, headers, url)
