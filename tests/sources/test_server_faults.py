"""Servers that break the protocol, the connection or the patience: a retry or one line, never a wrong file."""

import itertools
import time

import pytest
from loopback import BODY, answer, drip

from segkit.base.errors import InputError
from segkit.sources import connection

HEAD = ("HTTP/1.1 200 OK", f"Content-Length: {len(BODY)}")
LENGTH = len(BODY)


@pytest.fixture
def hasty(monkeypatch):
    """Windows so short that tests can wait for them."""
    monkeypatch.setattr(connection, "WINDOW", 0.5)
    monkeypatch.setattr(connection, "LEAST", 1000)


def ranges(site) -> list[str | None]:
    return [asked for _, asked in site.asked]


def test_a_body_that_drips_counts_as_broken_off_and_what_came_is_kept(site, get, hasty):
    site.raw = [itertools.chain([answer(*HEAD, body=BODY[:3000])], drip(BODY[3000:3200], 0.02))]
    assert get() is True
    assert get.path.read_bytes() == BODY
    first, second = ranges(site)
    assert first is None and 3000 <= int(second[6:-1]) < 3100
    assert get.pauses == [1.0]


def test_a_steady_server_may_be_slow(site, get, hasty):
    pieces = [answer(*HEAD), *(BODY[start : start + 64_000] for start in range(0, LENGTH, 64_000))]
    site.raw = [(piece for piece in pieces if not time.sleep(0.2))]
    assert get() is False
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: drip(answer(*HEAD, "X: " + "y" * 300), 0.02),
        lambda: (piece for piece in itertools.repeat(answer("HTTP/1.1 100 Continue"), 600) if not time.sleep(0.01)),
        lambda: itertools.chain([answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")], drip(b"1;" * 200, 0.02)),
    ],
    ids=["header", "continue", "chunk size"],
)
def test_other_drips_are_broken_off_too(site, get, hasty, pieces):
    start = time.monotonic()
    site.raw = [pieces()]
    assert get() is False
    assert get.path.read_bytes() == BODY
    assert time.monotonic() - start < 4
    assert get.pauses == [1.0]


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: itertools.repeat(answer("HTTP/1.1 100 Continue") * 2000, 5000),
        lambda: itertools.chain(
            [answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n")],
            itertools.repeat(b"a: b\r\n" * 8000, 5000),
        ),
    ],
    ids=["continue", "trailer"],
)
def test_floods_without_a_body_are_broken_off(site, get, pieces):
    start = time.monotonic()
    site.raw = [pieces()]
    assert get() is False
    assert get.path.read_bytes() == BODY
    assert time.monotonic() - start < 4
    assert get.pauses == [1.0]


def test_what_came_before_a_silence_is_kept(site, get, monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT", 0.2)
    site.raw = [(piece for piece in (answer(*HEAD, body=BODY[:3000]), b"") if piece or time.sleep(0.5))]
    assert get() is True
    assert get.path.read_bytes() == BODY
    assert ranges(site) == [None, "bytes=3000-"]


@pytest.mark.parametrize(
    ("asked", "paused"),
    [
        ("7", 7.0),
        ("60", 60.0),
        ("0", 1.0),
        ("61", 1.0),
        ("9" * 5000, 1.0),
        ("-5", 1.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_short_retry_after_is_honoured(site, get, status, asked, paused):
    site.raw = [[answer(f"HTTP/1.1 {status} Busy", f"Retry-After: {asked}", "Content-Length: 0")]]
    get()
    assert get.path.read_bytes() == BODY
    assert get.pauses == [paused]


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
    assert get.pauses == [1.0]


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


def test_a_range_whose_body_is_longer_than_the_file(site, get):
    site.cuts = [1000]
    site.raw = [
        [answer(*HEAD, body=BODY[:1000])],
        [
            answer(
                "HTTP/1.1 206 Partial Content",
                f"Content-Range: bytes 1000-{LENGTH - 1}/{LENGTH}",
                body=BODY[1000:] + b"more",
            )
        ],
    ]
    get()
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize("total", [999, 1000])
def test_a_range_of_a_file_that_ends_before_it_starts_over(site, get, total):
    site.cuts, site.content_range = [1000], f"bytes 1000-1999/{total}"
    assert get() is False
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "many", "1, 1"])
def test_a_senseless_length_is_none(site, get, length):
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
    with pytest.raises(InputError, match="larger than the 5120000 bytes"):
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
def test_an_answer_that_is_none_is_one_printable_line(site, get, raw):
    site.raw = [[raw]]
    with pytest.raises(InputError) as caught:
        get()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    assert get.pauses == []


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_compressed_answer_is_taken_only_for_a_gz_file_as_gzip(site, get, encoding):
    site.raw = [[answer(*HEAD, f"Content-Encoding: {encoding}", body=BODY)]]
    if encoding == "gzip":
        get()  # servers label every .gz file so, and send it as it is
        assert get.path.read_bytes() == BODY
    else:
        with pytest.raises(InputError, match=r"^the server sent the file compressed \('br'\)"):
            get()
    get.path = get.path.with_name("sums")
    site.raw = [[answer(*HEAD, f"Content-Encoding: {encoding}", body=BODY)]]
    with pytest.raises(InputError, match="compressed"):
        get()


def test_malformed_headers_do_no_harm(site, get):
    for fault in ("Content-Type: ;;;=", "X\xff: \xff", "X: \x1b[2J", "Content-Range: bytes"):
        site.raw = [[answer(*HEAD, fault, body=BODY)]]
        assert get(fault) is False
        assert get.path.read_bytes() == BODY


def test_headers_behind_a_line_that_is_none_do_not_count(site, get):
    site.raw = [[answer("HTTP/1.1 200 OK", "no colon", "Content-Length: 5", body=BODY)]]
    assert get() is False
    assert get.path.read_bytes() == BODY
