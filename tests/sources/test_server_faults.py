"""Servers that break the protocol, the connection or the patience: a retry or one line, never a wrong file."""

import itertools
import time

import pytest
from loopback import BODY, answer, drip

from segkit.base.errors import InputError
from segkit.sources import fetch

HEAD = ("HTTP/1.1 200 OK", f"Content-Length: {len(BODY)}")
LENGTH = len(BODY)


def ranges(site) -> list[str | None]:
    return [asked for _, asked in site.asked]


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: itertools.chain([answer(*HEAD, body=BODY[:3000])], drip(BODY[3000:3400], 0.02)),
        lambda: drip(answer(*HEAD, "X: " + "y" * 300), 0.02),
        lambda: (piece for piece in itertools.repeat(answer("HTTP/1.1 100 Continue"), 600) if not time.sleep(0.01)),
        lambda: itertools.chain([answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")], drip(b"1;" * 200, 0.02)),
        lambda: itertools.repeat(answer("HTTP/1.1 100 Continue") * 2000, 5000),
        lambda: itertools.chain([answer("HTTP/1.1 503 Busy")], drip(bytes(500), 0.02)),
        lambda: itertools.chain([answer("HTTP/1.1 503 Busy")], itertools.repeat(BODY, 5000)),
    ],
    ids=["body", "header", "continue", "chunk size", "flood", "error body", "error flood"],
)
def test_a_server_that_drips_is_given_up_and_what_came_is_kept(site, get, monkeypatch, pieces):
    start = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "GRACE", 0.3)
        patch.setattr(fetch, "SLOWEST", 1e9)
        site.raw = [pieces()]
        with pytest.raises(InputError, match=r"^f\.gz: the server is too slow; the next run resumes$"):
            get()
    assert time.monotonic() - start < 4
    get()
    assert get.path.read_bytes() == BODY


def test_what_came_before_a_silence_is_kept(site, get, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    site.raw = [(piece for piece in (answer(*HEAD, body=BODY[:3000]), b"") if piece or time.sleep(0.5))]
    assert get() is True
    assert get.path.read_bytes() == BODY
    assert ranges(site) == [None, "bytes=3000-"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        answer("HTTP/1.1 200 OK", f"Content-Length: {LENGTH + 1}", body=b"x"),
        answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"ff\r\nabc"),
        answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"),
        answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"nonsense\r\n"),
        answer("HTTP/1.1 206 Partial Content", "Content-Length: 3", body=b"abc"),
        answer("HTTP/1.1 206 Partial Content", "Content-Range: bytes 5-7/9", "Content-Length: 3", body=b"abc"),
        answer("HTTP/1.1 206 Partial Content", f"Content-Range: bytes 0-{'9' * 5000}/{'9' * 5000}", body=b"abc"),
    ],
    ids=["closed", "too long", "cut chunk", "cut chunks", "bad chunk", "no range", "other range", "huge range"],
)
def test_a_broken_answer_is_followed_by_another_try(site, get, raw):
    site.raw, site.ranges = [[raw]], False
    get()
    assert get.path.read_bytes() == BODY


def test_a_length_that_promises_too_much_ends_where_the_file_does(site, get):
    site.raw = [[answer("HTTP/1.1 200 OK", f"Content-Length: {LENGTH + 9}", body=BODY)]]
    assert get() is True
    assert get.path.read_bytes() == BODY
    assert ranges(site) == [None, f"bytes={LENGTH}-"]


@pytest.mark.parametrize(
    "head", [HEAD, ("HTTP/1.1 206 Partial Content", f"Content-Range: bytes 0-{LENGTH - 1}/{LENGTH}")]
)
def test_what_follows_the_body_is_not_part_of_it(site, get, head):
    site.raw = [[answer(*head, body=BODY + b"more")]]
    assert get() is False
    assert get.path.read_bytes() == BODY


def test_a_range_whose_body_is_longer_than_the_file_is_not_taken(site, get):
    longer = f"Content-Range: bytes 1000-{LENGTH - 1}/{LENGTH}"
    site.raw = [
        [answer(*HEAD, body=BODY[:1000])],
        [answer("HTTP/1.1 206 Partial Content", longer, body=BODY[1000:] + b"more")],
    ]
    with pytest.raises(InputError, match="broke off"):
        get()
    assert get() is False
    assert get.path.read_bytes() == BODY


def test_a_range_of_a_file_that_ends_before_it_starts_over(site, get):
    site.cuts, site.content_range = [1000], "bytes 1000-1999/999"
    assert get() is False
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "many", "1, 1"])
def test_a_senseless_length_is_no_length(site, get, length):
    site.raw = [[answer("HTTP/1.1 200 OK", f"Content-Length: {length}", body=BODY)]]
    get()
    assert get.path.read_bytes() == BODY


def test_chunks_are_put_together_whatever_length_is_announced(site, get):
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:], b""))
    site.raw = [[answer("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked", body=chunked)]]
    get()
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize(
    "pieces",
    [
        [answer("HTTP/1.1 200 OK"), *itertools.repeat(BODY, 20)],
        [answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), *itertools.repeat(b"7d000\r\n" + BODY + b"\r\n", 20)],
    ],
    ids=["plain", "chunked"],
)
def test_an_endless_body_is_broken_off_and_not_kept(site, get, pieces):
    sent = []
    site.raw = [
        (sent.append(len(piece)) or piece for piece in itertools.chain(pieces, itertools.repeat(pieces[-1], 200)))
    ]
    with pytest.raises(InputError, match="larger than the limit of 5,120,000 bytes"):
        get()
    assert list(get.path.parent.iterdir()) == []
    assert len(sent) < 200


@pytest.mark.parametrize(
    "raw",
    [
        b"no http at all\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"\x1b[2J" * 20_000,
        answer("HTTP/1.1 200 OK", "X: " + "y" * 70_000),
        answer("HTTP/1.1 200 OK", *(f"X{number}: y" for number in range(200))),
        answer("HTTP/1.1 404 " + "\x1b[31m" * 5_000),
        answer("HTTP/1.1 204 No Content"),
        answer("HTTP/1.1 304 Not Modified"),
    ],
    ids=["text", "status", "version", "huge line", "huge header", "headers", "reason", "204", "304"],
)
def test_an_answer_that_makes_no_sense_is_one_printable_line(site, get, raw):
    site.raw = 3 * [[raw]]
    with pytest.raises(InputError) as caught:
        get()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def test_a_gz_file_stays_as_it_is_though_labelled_as_compressed(site, get):
    site.raw = [[answer(*HEAD, "Content-Encoding: gzip", body=BODY)]]
    get()
    assert get.path.read_bytes() == BODY


def test_malformed_headers_do_no_harm(site, get):
    for fault in ("Content-Type: ;;;=", "X\xff: \xff", "X: \x1b[2J", "Content-Range: bytes"):
        site.raw = [[answer(*HEAD, fault, body=BODY)]]
        get.path.unlink(missing_ok=True)
        assert get() is False
        assert get.path.read_bytes() == BODY


def test_headers_after_a_malformed_line_do_not_count(site, get):
    site.raw = [[answer("HTTP/1.1 200 OK", "no colon", "Content-Length: 5", body=BODY)]]
    assert get() is False
    assert get.path.read_bytes() == BODY
