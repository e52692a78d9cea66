"""Downloads: whole or not at all, resumed where they broke off, bounded in size and in attempts."""

import base64
from types import SimpleNamespace

import pytest
from loopback import BODY, Site, answer, serve

from segkit.base.errors import InputError
from segkit.sources import fetch
from segkit.sources.fetch import NotFound


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def broken(site, get, size: int = 1000) -> None:
    """Leave a partial file of this size."""
    site.cuts = [size, 0, 0]
    with pytest.raises(InputError, match="broke off"):
        get()
    assert names(get.path.parent) == ["f.gz.from", "f.gz.part"]
    site.asked.clear()
    site.conditions.clear()


def test_a_whole_file_comes_in_one_request_and_with_a_checksum_is_not_fetched_again(site, get):
    assert get("sha256 1") is False
    assert get.path.read_bytes() == BODY
    assert names(get.path.parent) == ["f.gz", "f.gz.from"]
    assert get("sha256 1") is True
    assert site.asked == [("f.gz", None)]


def test_a_whole_file_without_a_checksum_is_asked_for_again_by_its_validator(site, get):
    site.validators = {"ETag": '"1"'}
    get()
    assert get() is True
    assert site.asked == [("f.gz", None), ("f.gz", f"bytes={len(BODY)}-")]
    site.files["f.gz"], site.validators = BODY[::-1], {"ETag": '"2"'}
    assert get() is False
    assert get.path.read_bytes() == BODY[::-1]


def test_a_dropped_connection_is_resumed(site, get):
    site.cuts = [1000, 300_000]
    assert get() is True
    assert get.path.read_bytes() == BODY
    assert site.asked == [("f.gz", None), ("f.gz", "bytes=1000-"), ("f.gz", "bytes=301000-")]


def test_a_partial_file_is_kept_when_attempts_run_out_and_resumed_by_the_next_call(site, get):
    site.cuts = [1000, 1000, 1000]
    with pytest.raises(InputError, match=r"^f\.gz: the download broke off \(.*\), 3 attempts$"):
        get()
    assert get() is True
    assert site.asked[3:] == [("f.gz", "bytes=3000-")]
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize("whole", [True, False])
def test_bytes_of_another_file_are_not_resumed_but_replaced(site, get, whole):
    site.cuts = [] if whole else [1000, 0, 0]
    try:
        get("sha256 1")
    except InputError:
        assert not whole
    site.files["f.gz"] = b"other"
    assert get("sha256 2") is False
    assert site.asked[-1] == ("f.gz", None)
    assert get.path.read_bytes() == b"other"


def test_a_whole_file_of_another_checksum_is_not_taken_for_one_that_broke_off(site, get):
    get("sha256 1")
    site.files["f.gz"], site.cuts = b"other", [2, 0, 0]
    with pytest.raises(InputError, match="broke off"):
        get("sha256 2")
    get("sha256 2")
    assert get.path.read_bytes() == b"other"


def test_an_address_that_does_not_answer_leaves_anothers_bytes_alone(site, get):
    broken(site, get)
    with pytest.raises(NotFound):
        get(url=f"{site.url}/absent")
    get()
    assert site.asked[-1] == ("f.gz", "bytes=1000-")


@pytest.mark.parametrize(
    ("validators", "condition"),
    [
        ({"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, '"1"'),
        ({"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ({"ETag": '"é"'}, None),
        ({}, None),
    ],
)
def test_the_rest_is_asked_for_on_the_condition_that_the_file_is_the_same(site, get, validators, condition):
    site.validators = validators
    broken(site, get)
    assert get() is True
    assert site.asked == [("f.gz", "bytes=1000-")] and site.conditions == [condition]
    assert get.path.read_bytes() == BODY


def test_a_file_that_changed_in_between_is_fetched_whole(site, get):
    site.validators = {"ETag": '"1"'}
    broken(site, get)
    site.validators, site.files["f.gz"] = {"ETag": '"2"'}, BODY[::-1]
    assert get() is False
    assert site.asked == [("f.gz", "bytes=1000-")]
    assert get.path.read_bytes() == BODY[::-1]


def test_another_mirror_is_not_held_to_the_validator_of_the_first(site, get):
    site.validators, site.cuts = {"ETag": '"1"'}, [1000, 0, 0]
    with pytest.raises(InputError, match="broke off"):
        get("sha256 1")
    with serve(Site({"f.gz": BODY}, validators={"ETag": '"other"'})) as other:
        assert get("sha256 1", url=f"{other.url}/f.gz") is True
        assert other.asked == [("f.gz", "bytes=1000-")] and other.conditions == [None]
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"\xff" + text,
        lambda text: text.replace(b"http", b"\x80http"),
        lambda text: b"",
        lambda text: b"\0" * 99,
        lambda text: text + b"\xff\n\r\n\x1b",
        lambda text: text + b"\n Range: x",
    ],
)
def test_a_damaged_note_beside_a_partial_file_does_no_harm(site, get, damage):
    broken(site, get)
    note = get.path.with_name("f.gz.from")
    note.write_bytes(damage(note.read_bytes()))
    get()
    assert get.path.read_bytes() == BODY
    assert site.conditions == [None]


def test_a_password_is_sent_to_its_server_only_and_never_stored(site, get):
    with serve(Site({"f.gz": BODY}, cuts=[1000])) as other:
        url = f"{site.url}/f.gz".replace("://", "://user:se%40cret@")
        site.raw = 2 * [[answer("HTTP/1.0 302 Found", f"Location: {other.url}/f.gz", "Content-Length: 0")]]
        get(url=url)
        assert other.logins == [None, None]
    assert site.logins == 2 * ["Basic " + base64.b64encode(b"user:se@cret").decode()]
    assert get.path.with_name("f.gz.from").read_text().split() == 2 * [f"{site.url}/f.gz"]


def test_a_server_without_ranges_sends_everything_again(site, get):
    site.ranges, site.cuts = False, [1000]
    assert get() is False
    assert get.path.read_bytes() == BODY


@pytest.mark.parametrize("place", ["bytes 7-511999/512000", "bytes 1000-511999/*", "nonsense"])
def test_a_senseless_answer_to_a_range_starts_over(site, get, place):
    site.cuts, site.content_range = [1000], place
    assert get() is False
    assert get.path.read_bytes() == BODY
    assert [asked for _, asked in site.asked] == [None, "bytes=1000-", None]


@pytest.mark.parametrize("now", [BODY, b"short"])
def test_a_partial_file_that_is_whole_is_recognised_and_one_too_long_starts_over(site, get, now):
    get()
    get.path.rename(get.path.with_name("f.gz.part"))
    site.files["f.gz"] = now
    assert get() is (now == BODY)
    assert get.path.read_bytes() == now


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_three_times(site, get, status):
    site.answers = [status, status]
    get("sha256 1")
    assert get.path.read_bytes() == BODY
    site.answers = [status] * 3
    with pytest.raises(InputError, match=rf"^f\.gz: the request failed \(too many {status} error responses\)"):
        get("sha256 2")
    assert site.answers == []


def test_a_silent_server_is_asked_again(site, get, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT", 0.1)
    site.silences = [0.3]
    get()
    assert get.path.read_bytes() == BODY


def test_a_short_retry_after_is_honoured_and_a_long_one_cut(site, get, monkeypatch):
    waits = []
    monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=waits.append))
    for asked in ("7", "99999"):
        site.raw += [[answer("HTTP/1.0 503 Busy", f"Retry-After: {asked}", "Content-Length: 0")]]
    get()
    assert get.path.read_bytes() == BODY
    assert waits == [7, 30]


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_is_final(site, get, status):
    site.answers = [status]
    with pytest.raises(InputError, match=f"answered {status}") as caught:
        get()
    assert isinstance(caught.value, NotFound) == (status in (404, 410))
    assert len(site.asked) == 1


def test_a_web_page_is_refused_and_what_is_there_stays(site, get):
    broken(site, get)
    site.content_type, site.ranges = "text/html; charset=utf-8", False
    with pytest.raises(InputError, match=r"^f\.gz: the server sent a web page"):
        get()
    assert get.path.with_name("f.gz.part").read_bytes() == BODY[:1000]


@pytest.mark.parametrize("lengths", [True, False], ids=["announced", "unannounced"])
def test_a_body_above_the_limit_is_refused_and_not_kept(site, get, lengths):
    site.lengths = lengths
    with pytest.raises(InputError, match="larger than the limit of 400,000 bytes"):
        get(max_bytes=400_000)
    assert names(get.path.parent) == []


@pytest.mark.parametrize("body", [BODY, b""])
@pytest.mark.parametrize("lengths", [True, False], ids=["announced", "unannounced"])
def test_a_body_needs_no_length_and_may_be_empty(site, get, body, lengths):
    site.lengths, site.files["f.gz"] = lengths, body
    get()
    assert get.path.read_bytes() == body


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/f.gz", "http://user:secret@127.0.0.1:9/" + "x" * 90_000, "http://a\udcffb/f", "http://*/"],
)
def test_an_address_that_cannot_be_asked_is_one_short_line(get, url):
    with pytest.raises(InputError, match=r"^f\.gz: the request failed \(.+\)") as caught:
        get(url=url)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300 and "secret" not in str(caught.value)


def test_discard_removes_only_what_was_downloaded(get):
    get()
    fetch.discard(get.path)
    assert names(get.path.parent) == []
    get.path.write_bytes(b"the user's own")
    fetch.discard(get.path)
    assert get.path.exists()
