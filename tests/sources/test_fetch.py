"""Downloads: whole or not at all, continued where they broke off, bounded in size and in attempts."""

import pytest
from loopback import BODY

from segkit.base.errors import InputError
from segkit.sources import connection, fetch
from segkit.sources.connection import NotFoundOnServer


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_comes_in_one_request(site, get):
    assert get() is False
    assert get.path.read_bytes() == BODY
    assert names(get.path.parent) == ["f.gz", "f.gz.from"]
    assert site.asked == [("f.gz", None)]


def test_a_file_that_is_there_is_not_fetched_again(site, get):
    get()
    assert get() is True
    assert len(site.asked) == 1


def test_a_dropped_connection_is_continued(site, get):
    site.cuts = [1000, 300_000]
    assert get() is True
    assert get.path.read_bytes() == BODY
    assert site.asked == [("f.gz", None), ("f.gz", "bytes=1000-"), ("f.gz", "bytes=301000-")]
    assert get.pauses == [1.0, 5.0]


def test_a_partial_file_is_kept_when_attempts_run_out_and_continued_by_the_next_call(site, get):
    site.cuts = [1000, 1000, 1000]
    with pytest.raises(InputError, match="broke off after 3000 of 512000 bytes, 3 attempts"):
        get()
    assert names(get.path.parent) == ["f.gz.from", "f.gz.part"]
    get()
    assert site.asked[-1] == ("f.gz", "bytes=3000-")
    assert get.path.read_bytes() == BODY


def test_bytes_of_another_file_are_not_continued(site, get):
    site.cuts = [1000, 0, 0]
    with pytest.raises(InputError):
        get("one")
    assert get("two") is False
    assert site.asked[-1] == ("f.gz", None)
    assert get.path.read_bytes() == BODY


def test_a_whole_file_of_another_identity_is_replaced(site, get):
    get("one")
    site.files["f.gz"] = b"other"
    assert get("two") is False
    assert get.path.read_bytes() == b"other"


def test_an_address_that_does_not_answer_leaves_anothers_bytes_alone(site, get):
    site.cuts = [1000, 0, 0]
    with pytest.raises(InputError):
        get("one")
    with pytest.raises(NotFoundOnServer):
        get("two", url=f"{site.url}/absent")
    get("one")
    assert site.asked[-1] == ("f.gz", "bytes=1000-")


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


def test_a_partial_file_that_is_whole_is_recognised(site, get):
    get()
    get.path.rename(get.path.with_name("f.gz.part"))
    assert get() is True
    assert get.path.read_bytes() == BODY


def test_a_partial_file_longer_than_the_file_starts_over(site, get):
    get()
    get.path.rename(get.path.with_name("f.gz.part"))
    site.files["f.gz"] = b"short"
    assert get() is False
    assert get.path.read_bytes() == b"short"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_three_times(site, get, status):
    site.answers = [status, status]
    get()
    assert get.pauses == [1.0, 5.0]
    site.answers = [status] * 3
    with pytest.raises(InputError, match=f"answered {status} .*, 3 attempts"):
        get("two")


def test_a_silent_server_is_asked_again(site, get, monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT", 0.1)
    site.silences = [0.3]
    get()
    assert get.path.read_bytes() == BODY
    assert get.pauses == [1.0]


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_is_final(site, get, status):
    site.answers = [status]
    with pytest.raises(InputError, match=f"answered {status}") as caught:
        get()
    assert isinstance(caught.value, NotFoundOnServer) == (status in (404, 410))
    assert get.pauses == []


def test_a_web_page_is_refused_before_it_is_saved(site, get):
    site.content_type = "text/html; charset=utf-8"
    with pytest.raises(InputError, match="web page"):
        get()
    assert names(get.path.parent) == []


@pytest.mark.parametrize("lengths", [True, False], ids=["announced", "unannounced"])
def test_a_body_above_the_bound_is_refused_and_not_kept(site, get, lengths):
    site.lengths = lengths
    with pytest.raises(InputError, match="larger than the 400000 bytes"):
        get(max_bytes=400_000)
    assert not get.path.exists()
    assert not get.path.with_name("f.gz.part").exists()


def test_a_body_without_a_length_is_taken(site, get):
    site.lengths = False
    get()
    assert get.path.read_bytes() == BODY


def test_an_empty_file_is_a_file(site, get):
    site.files["f.gz"] = b""
    get()
    assert get.path.read_bytes() == b""


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/f.gz", "http://127.0.0.1:x/f", "http://a b/f"])
def test_an_address_that_cannot_be_asked_is_one_line(get, url):
    with pytest.raises(InputError, match=r"^the request failed \(.+\)"):
        get(url=url)


def test_discard_removes_only_what_was_downloaded(get):
    get()
    fetch.discard(get.path)
    assert names(get.path.parent) == []
    get.path.write_bytes(b"the user's own")
    fetch.discard(get.path)
    assert get.path.exists()
