"""Addresses and SHA256SUMS files, as people write them."""

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.sources import fetch
from segkit.sources.mirrors import Mirror

ONE, TWO = "1a" * 32, "2b" * 32


def sums(content: bytes) -> dict[str, str] | None:
    """What is read from a folder whose SHA256SUMS has this content."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "SHA256SUMS").write_bytes(content)
        return Mirror(folder, Path(folder) / "cache").sums()


@pytest.mark.parametrize("form", ["{}  {}", "{} *{}", "{}  ./{}", "{}  {}\r", "{}  {}  "])
def test_forms_of_sha256sums_lines(form):
    text = "\n".join(["# a comment", form.format(ONE.upper(), "a.gz"), "", form.format(TWO, "b c.gz")])
    assert sums(text.encode()) == {"a.gz": f"sha256 {ONE}", "b c.gz": f"sha256 {TWO}"}


@pytest.mark.parametrize("line", [f"{ONE[1:]}  a", f"{ONE} a", f"{ONE}  ", f"SHA256 (a) = {ONE}", "<html>", "\udcff"])
def test_other_lines_are_refused_with_their_number(line):
    content = f"{ONE}  first\n{line}\n".encode(errors="surrogateescape")
    with pytest.raises(InputError, match=r"^SHA256SUMS line 2 is not a SHA-256 checksum and a name: "):
        sums(content)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://WWW.Host.org/a", "www.host.org"),
        ("HTTP://user:secret@HOST:81/a/", "host"),
        ("file:///a%20b", None),
        ("file://localhost/a", None),
        ("/a", None),
        ("relative/a", None),
        ("~/a", None),
        ("/a\0b", None),
        ("file:///a%00b", None),
        ("/" + "x" * 90_000, None),
        ("~" + "x" * 90_000, ""),
        ("~nobody-of-that-name/x", ""),
        ("ftp://host/a", ""),
        ("https:///a", ""),
        ("file://elsewhere/a", ""),
        ("http://[1/a", ""),
        ("https://user:se/cret@host/a", ""),
        ("https://secret@ho\N{ACCOUNT OF}st/a", ""),
    ],
)
def test_an_address_is_a_server_a_folder_or_one_line(tmp_path, address, host):
    """``host`` is empty where the address is refused."""
    try:
        mirror = Mirror(address, tmp_path)
        assert mirror.host == host
        if host is None:
            assert mirror.sums() is None
    except InputError as error:
        assert host == "" and str(error).startswith("not https://HOST/PATH, http://HOST/PATH, file:///FOLDER or a path")
        assert "cret" not in str(error)


def test_the_sums_are_read_anew_each_time(tmp_path, site):
    mirror = Mirror(site.url, tmp_path / "cache")
    assert mirror.sums() is None
    site.files["SHA256SUMS"], site.cuts = f"{ONE}  a".encode(), [2]
    assert mirror.sums() == {"a": f"sha256 {ONE}"}
    site.files["SHA256SUMS"], site.cuts = f"{TWO}  a".encode(), [2, 0, 0]
    with pytest.raises(InputError, match=r"^SHA256SUMS: the download broke off"):
        mirror.sums()
    assert mirror.sums() == {"a": f"sha256 {TWO}"}
    site.files["SHA256SUMS"] = bytes(1_000_001)
    with pytest.raises(InputError, match=r"^SHA256SUMS: larger than the limit of 1,000,000 bytes"):
        mirror.sums()


@pytest.mark.parametrize("name", ["SHA256SUMS", "annotations.tar.gz"])
def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=rf"^{name} is not a regular file"):
        Mirror(str(tmp_path), tmp_path / "cache").get(name, None, 1)


def test_an_absent_file_is_not_found(tmp_path):
    with pytest.raises(fetch.NotFound, match=r"^a\.tar\.gz: no such file or folder"):
        Mirror(str(tmp_path), tmp_path / "cache").get("a.tar.gz", None, 1)


@settings(deadline=None)
@given(st.dictionaries(st.text("ab ./*é#\\", min_size=1), st.binary(min_size=32, max_size=32)))
def test_what_sha256sum_writes_is_read_back(digests):
    named = {name: digest for name, digest in digests.items() if name == name.strip() and not name.startswith("./")}
    text = "".join(f"{digest.hex()}  {name}\n" for name, digest in named.items())
    assert sums(text.encode()) == {name: f"sha256 {digest.hex()}" for name, digest in named.items()}


@settings(deadline=None)
@given(st.binary() | st.text(f"{ONE[:2]} *./\n\r\t#é").map(str.encode))
def test_any_bytes_are_checksums_or_one_line(content):
    try:
        assert all(len(checksum) == 71 for checksum in sums(content).values())
    except InputError as error:
        assert str(error).startswith("SHA256SUMS line ") and str(error).isprintable()


@pytest.mark.parametrize("line", [f"{ONE}  a{' ' * 30_000}b", f"{ONE}  {'a' * 99_000}\n{TWO} {'a' * 99_000}"])
def test_long_lines_take_no_time_and_make_no_long_message(line):
    start = time.monotonic()
    try:
        assert len(sums(line.encode())) == 1
    except InputError as error:
        assert len(str(error)) < 200
    assert time.monotonic() - start < 1
