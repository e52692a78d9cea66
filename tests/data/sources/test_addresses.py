"""Addresses and SHA256SUMS files, as people write them."""

import pytest

from segkit.data.sources import addresses
from segkit.data.sources.addresses import Checksum, FolderSource, WebSource, parse_sums
from segkit.errors import InputError

ONE, TWO = "1a" * 32, "2b" * 32


@pytest.mark.parametrize("form", ["{}  {}", "{} *{}", "{}  ./{}", "{}  {}\r", "{}  {}  "])
def test_forms_of_sha256sums_lines(form):
    text = "\n".join(["# a comment", form.format(ONE.upper(), "a.gz"), "", form.format(TWO, "b c.gz")])
    expected = {"a.gz": Checksum("sha256", ONE), "b c.gz": Checksum("sha256", TWO)}
    assert parse_sums(text.encode()) == expected


@pytest.mark.parametrize(
    "line",
    [f"{ONE[1:]}  a", f"{ONE} a", f"{ONE}", f"{ONE}  ", f"SHA256 (a) = {ONE}", "<html>", "\udcff"],
)
def test_other_lines_are_refused_with_their_number(line):
    content = f"{ONE}  first\n{line}\n".encode(errors="surrogateescape")
    with pytest.raises(InputError, match=r"^SHA256SUMS line 2 is not a SHA-256 checksum and a name: "):
        parse_sums(content)


def test_two_checksums_for_one_name_are_refused_if_they_differ():
    assert len(parse_sums(f"{ONE}  a\n{ONE} *a\n".encode())) == 1
    with pytest.raises(InputError, match="line 2 gives a second checksum for 'a'"):
        parse_sums(f"{ONE}  a\n{TWO}  a\n".encode())


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://host/a", WebSource),
        ("HTTP://HOST:81/a/", WebSource),
        ("file:///a%20b", FolderSource),
        ("file://localhost/a", FolderSource),
        ("/a", FolderSource),
        ("relative/a", FolderSource),
        ("~/a", FolderSource),
    ],
)
def test_addresses(tmp_path, address, kind):
    assert type(addresses.at(address, tmp_path, lambda seconds: None)) is kind


@pytest.mark.parametrize("address", ["ftp://host/a", "https:///a", "file://elsewhere/a", "http://[1/a"])
def test_other_addresses_are_refused(tmp_path, address):
    with pytest.raises(InputError, match="not an address"):
        addresses.at(address, tmp_path, lambda seconds: None)


def test_the_host_is_known_in_lower_case(tmp_path):
    source = addresses.at("https://WWW.Robots.ox.ac.uk/a", tmp_path, lambda seconds: None)
    assert source.host == "www.robots.ox.ac.uk"


def test_the_sums_are_read_anew_each_time_and_not_kept(tmp_path, site):
    source = addresses.at(site.url, tmp_path / "cache", lambda seconds: None)
    assert source.sums() is None
    site.files["SHA256SUMS"], site.cuts = b"text", [2]
    assert source.sums() == b"text"
    site.files["SHA256SUMS"], site.cuts = b"later", [2, 0, 0]
    with pytest.raises(InputError, match=r"^SHA256SUMS: the connection broke off"):
        source.sums()
    assert source.sums() == b"later"
    site.files["SHA256SUMS"] = bytes(addresses.MAX_SUMS + 1)
    with pytest.raises(InputError, match=r"^SHA256SUMS: larger than the 1000000 bytes"):
        source.sums()
    assert list((tmp_path / "cache").iterdir()) == []
