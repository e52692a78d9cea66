"""Archives made to hurt: names, kinds, headers and depths that only an attacker, or chance, would choose."""

import gzip
import io
import itertools
import os
import stat
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import member, pack, tar_bytes

from segkit.base.errors import InputError
from segkit.sources import archives


def unpack(folder: Path, content: bytes) -> Path:
    archive, target = folder / "a.tar.gz", folder / "inner" / "target"
    archive.write_bytes(content)
    target.mkdir(parents=True)
    archives.extract(archive, target, max_bytes=10_000_000, max_members=1000, skip=lambda name: False)
    return target


def with_pax(records: bytes, *members: tuple[tarfile.TarInfo, bytes], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An uncompressed archive whose first member has an extended header with these records."""
    info, _ = member("pax", records, type=kind)
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512) + tar_bytes(*members)


def record(key: str, value: bytes) -> bytes:
    """One record of an extended header; its length counts its own digits."""
    rest = b" %s=%s\n" % (key.encode(), value)
    length = next(n for n in itertools.count(len(rest)) if n == len(str(n)) + len(rest))
    return str(length).encode() + rest


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("depth", [16, 500])
def test_a_name_too_deep_is_refused(tmp_path, depth):
    # Each of 50,000 members could make 2,000 folders, and Python cannot remove a tree of that depth. 500 it can,
    # so that this test, should it fail, leaves nothing that lasts.
    members = [member("d/" * deep + "x") for deep in (15, depth)]
    with pytest.raises(InputError, match=r"member 'd/d/.* or one of more than 16 parts"):
        unpack(tmp_path, pack(*members))
    assert sum(path.is_dir() for path in (tmp_path / "inner/target").rglob("*")) == 15


@pytest.mark.parametrize(
    "name", ["y" * 500_000, "../" * 100_000 + "x", "\x1b[2J\n" * 300], ids=["long", "up", "escapes"]
)
def test_the_line_about_a_long_name_is_short(tmp_path, name):
    with pytest.raises(InputError) as caught:
        unpack(tmp_path, pack(member(name)))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def sparse(blocks: int) -> bytes:
    """An old GNU sparse file whose map extends over ``blocks`` blocks."""
    info, _ = member("sparse", b"", type=tarfile.GNUTYPE_SPARSE)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + (b"00000000001\0" * 42 + b"\1" + bytes(7)) * blocks + bytes(2048)


@pytest.mark.parametrize(
    "tar",
    [
        with_pax(record("comment", b"z" * 20_000), member("a")),
        with_pax(record("comment", b"z" * 20_000), member("a"), kind=tarfile.XGLTYPE),
        with_pax(b"1" * 100_000, member("a")),  # minutes in the regular expressions of some versions of tarfile
        b"".join(with_pax(record("comment", b"z" * 100), member("a"))[:1024] for _ in range(20))
        + tar_bytes(member("a")),
        sparse(1000),
        tar_bytes(member("long", b"n" * 20_000, type=tarfile.GNUTYPE_LONGNAME), member("a")),
    ],
    ids=["pax", "global", "digits", "chain", "sparse", "long name"],
)
def test_a_huge_header_is_refused_before_it_is_read_or_kept(tmp_path, tar):
    start = time.monotonic()
    with pytest.raises(InputError, match="a header of more than 16384 bytes"):
        unpack(tmp_path, gzip.compress(tar))
    assert time.monotonic() - start < 2
    assert below(tmp_path / "inner") == ["target"]


def test_headers_are_not_kept_for_members_that_are_done(tmp_path, monkeypatch):
    kept = []
    extract = tarfile.TarFile.extract
    monkeypatch.setattr(
        tarfile.TarFile,
        "extract",
        lambda tar, *rest, **named: kept.append(len(tar.members)) or extract(tar, *rest, **named),
    )
    unpack(tmp_path, pack(*(member(str(number)) for number in range(30))))
    assert max(kept) <= 1


@pytest.mark.parametrize("value", [b"inf", b"nan", b"1e300", b"-1e18", b"9" * 5000, b"x"], ids=lambda value: value[:9])
@pytest.mark.parametrize("key", ["mtime", "size", "uid", "GNU.sparse.size", "GNU.sparse.map"])
def test_senseless_numbers_are_ignored_or_one_line(tmp_path, key, value):
    try:
        unpack(tmp_path, gzip.compress(with_pax(record(key, value), member("a"))))
    except InputError as error:
        assert str(error).isprintable() and len(str(error)) < 300
    assert below(tmp_path / "inner") in (["target"], ["target", "target/a"])


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize(
    ("name", "reason"), [("../evil", "with '..'"), ("/evil", "absolute path"), ("a\0b", "embedded null byte")]
)
def test_a_name_from_an_extended_header_is_checked_too(tmp_path, kind, name, reason):
    with pytest.raises(InputError, match=reason):
        unpack(tmp_path, gzip.compress(with_pax(record("path", name.encode()), member("a"), kind=kind)))
    assert below(tmp_path / "inner") == ["target"]


@pytest.mark.parametrize("mode", [0, 0o777, 0o7000, 0o4755, 0o2644, 0o1111])
def test_whatever_the_modes_files_can_be_read_and_have_no_special_bits(tmp_path, mode):
    target = unpack(tmp_path, pack(member("d", b"", type=tarfile.DIRTYPE, mode=mode), member("d/a", mode=mode, uid=0)))
    bits = stat.S_IMODE((target / "d/a").stat().st_mode)
    assert bits & 0o600 == 0o600 and not bits & 0o7022
    assert stat.S_IMODE((target / "d").stat().st_mode) & 0o7700 == 0o700
    assert (target / "d/a").stat().st_uid == os.getuid()


def test_of_members_with_one_name_the_last_counts(tmp_path):
    target = unpack(tmp_path, pack(member("a", b"long"), member("./a", b"2"), member("A", b"3")))
    assert (target / "a").read_bytes() in (b"2", b"3")  # 3 where the disk takes a and A for one


@pytest.mark.parametrize(
    "bad", [[member("a"), member("a/b")], [member("a/b"), member("a")], [member(".")], [member("")]]
)
def test_a_file_where_a_folder_is_needed_is_refused(tmp_path, bad):
    with pytest.raises(InputError, match=r"member '.*' cannot be written"):
        unpack(tmp_path, pack(*bad))


def test_a_gzip_file_of_several_parts_is_one(tmp_path):
    tar = tar_bytes(member("a"), member("b"))
    target = unpack(tmp_path, gzip.compress(tar[:700]) + gzip.compress(tar[700:]) + bytes(100))
    assert below(target) == ["a", "b"]


@pytest.mark.parametrize("tail", [b"garbage", bytes(9) + b"x", gzip.compress(b"x" * 99)[:-1], b"\x1f\x8b"])
def test_what_follows_and_is_no_gzip_is_damage(tmp_path, tail):
    with pytest.raises(InputError, match="damaged or incomplete"):
        unpack(tmp_path, pack(member("a")) + tail)


def test_an_archive_that_a_server_compressed_once_more_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.tar\.gz is damaged or incomplete"):
        unpack(tmp_path, gzip.compress(pack(member("a"))))


PART = st.sampled_from(
    ["..", ".", "", "a", "b", "C:", "/", "\\", "~", "x" * 130, "x" * 300, "\0", "\n", "\udcff"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = st.lists(PART, max_size=5).flatmap(lambda parts: st.sampled_from(["/", "\\", ""]).map(lambda by: by.join(parts)))
KINDS = [tarfile.REGTYPE] * 4 + [tarfile.DIRTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE]
KINDS += [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"Z"]
MEMBER = st.tuples(NAME, st.sampled_from(KINDS), NAME, st.integers(0, 0o7777))


@settings(max_examples=100, deadline=None)
@given(st.lists(MEMBER, max_size=5), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_whatever_an_archive_holds_nothing_lands_outside_the_target(members, form):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form, compresslevel=1) as tar:
        for name, kind, link, mode in members:
            info, content = member(name, type=kind, linkname=link, mode=mode)
            tar.addfile(info, io.BytesIO(content))
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        try:
            unpack(top, buffer.getvalue())
        except InputError as error:
            assert str(error).isprintable() and str(error).startswith("a.tar.gz")
        assert [path for path in below(top) if not path.startswith("inner/target/")] == [
            "a.tar.gz",
            "inner",
            "inner/target",
        ]
        for path in (top / "inner/target").rglob("*"):
            assert stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)
            assert path.is_dir() or path.read_bytes() == b"x"
