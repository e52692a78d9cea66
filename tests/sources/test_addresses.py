"""Addresses and SHA256SUMS files, as people write them."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.sources import addresses
from segkit.sources.addresses import Checksum, FolderSource, WebSource, parse_sums

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


@pytest.mark.parametrize(
    "address", ["ftp://host/a", "https:///a", "file://elsewhere/a", "http://[1/a", "file:///a%00b"]
)
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


@pytest.mark.parametrize("name", ["SHA256SUMS", "annotations.tar.gz"])
def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    source = FolderSource(tmp_path)
    with pytest.raises(InputError, match=rf"^{name} is not a regular file"):
        source.sums()
        source.get(name, None, 1)


@settings(deadline=None)
@given(st.dictionaries(st.text("ab ./*é#\\", min_size=1), st.binary(min_size=32, max_size=32)))
def test_what_sha256sum_writes_is_read_back(digests):
    named = {name: digest for name, digest in digests.items() if name == name.strip() and not name.startswith("./")}
    text = "".join(f"{digest.hex()}  {name}\n" for name, digest in named.items())
    assert parse_sums(text.encode()) == {name: Checksum("sha256", digest.hex()) for name, digest in named.items()}


@given(st.binary() | st.text(f"{ONE[:2]} *./\n\r\t#é").map(str.encode))
def test_any_bytes_are_checksums_or_one_line(content):
    try:
        assert all(len(checksum.digest) == 64 for checksum in parse_sums(content).values())
    except InputError as error:
        assert str(error).startswith("SHA256SUMS line ") and str(error).isprintable()


@pytest.mark.parametrize("line", [f"{ONE}  a{' ' * 30_000}b", f"{ONE}  {'a' * 99_000}\n{TWO}  {'a' * 99_000}"])
def test_long_lines_take_no_time_and_make_no_long_message(line):
    start = time.monotonic()
    try:
        assert len(parse_sums(line.encode())) == 1
    except InputError as error:
        assert len(str(error)) < 200
    assert time.monotonic() - start < 1
