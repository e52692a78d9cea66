"""Unpacking: nothing outside the target, nothing without bounds, no damage taken for the end."""

import errno
import gzip
import os
import tarfile
from pathlib import Path

import pytest
from loopback import member, pack, tar_bytes

from segkit.base.errors import InputError
from segkit.sources import archives


@pytest.fixture(params=["data", "fully_trusted"], autouse=True)
def without_a_filter(request, monkeypatch):
    """Python 3.11.0 to 3.11.3 trust every archive, and newer ones do if told so."""
    monkeypatch.setattr(archives, "FILTER", {"filter": request.param})


def unpack(tmp_path: Path, content: bytes, **limits) -> Path:
    archive, target = tmp_path / "a.tar.gz", tmp_path / "inner" / "target"
    archive.write_bytes(content)
    target.mkdir(parents=True)
    archives.extract(archive, target, **({"max_bytes": 10_000, "max_members": 10, "skip": lambda name: False} | limits))
    return target


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_and_folders_are_unpacked(tmp_path):
    folder = member("d", b"", type=tarfile.DIRTYPE)
    target = unpack(tmp_path, pack(folder, member("d/one", b"1"), member("./e/two", b"22")))
    assert files_below(target) == ["d/one", "e/two"]
    assert (target / "e/two").read_bytes() == b"22"


def test_skipped_members_are_left_out(tmp_path):
    target = unpack(tmp_path, pack(member("a"), member("b"), member("c")), skip=lambda name: name == "b")
    assert files_below(target) == ["a", "c"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("/evil"), "has an absolute path"),
        (member("../evil"), "has an absolute path"),
        (member("ok/../../../evil"), "has an absolute path"),
        (member("evil", b"", type=tarfile.SYMTYPE, linkname="ok"), "is not a regular file or folder"),
        (member("evil", b"", type=tarfile.LNKTYPE, linkname="/etc/hosts"), "is not a regular file or folder"),
        (member("evil", b"", type=tarfile.FIFOTYPE), "is not a regular file or folder"),
        (member("evil", b"", type=tarfile.CHRTYPE), "is not a regular file or folder"),
        (member("evil", b"", type=b"Z"), "is not a regular file or folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[0].name),
)
def test_a_malicious_member_is_refused_and_nothing_lands_outside(tmp_path, bad, reason):
    with pytest.raises(InputError, match=r"^a\.tar\.gz: member .*evil") as caught:
        unpack(tmp_path, pack(member("ok"), bad, member("later")))
    assert reason in str(caught.value)
    assert files_below(tmp_path) == ["a.tar.gz", "inner/target/ok"]


def test_a_link_is_refused_before_anything_is_written_through_it(tmp_path):
    link = member("out", b"", type=tarfile.SYMTYPE, linkname=str(tmp_path))
    with pytest.raises(InputError, match="is not a regular file"):
        unpack(tmp_path, pack(link, member("out/evil")))
    assert not (tmp_path / "evil").exists()


def test_a_bomb_is_refused_before_its_bytes_are_written(tmp_path):
    with pytest.raises(InputError, match=r"^a\.tar\.gz: over 10 members or 10000 bytes with member 'bomb'"):
        unpack(tmp_path, pack(member("ok"), member("bomb", bytes(10_000))))
    assert files_below(tmp_path) == ["a.tar.gz", "inner/target/ok"]


def test_too_many_members_are_refused_skipped_ones_too(tmp_path):
    with pytest.raises(InputError, match="over 10 members or 10000 bytes with member '10'"):
        unpack(tmp_path, pack(*(member(str(number)) for number in range(11))), skip=lambda name: True)


def test_a_header_that_claims_gigabytes_is_refused(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    with pytest.raises(InputError, match="a header of more than 16384 bytes"):
        unpack(tmp_path, gzip.compress(info.tobuf() + bytes(1024)))


def test_a_bomb_behind_the_end_mark_is_refused(tmp_path):
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack(tmp_path, gzip.compress(tar_bytes(member("ok")) + bytes(5 << 20)))


WHOLE = pack(member("a", bytes(range(256)) * 8), member("b"))


@pytest.mark.parametrize("keep", [3, 20, len(WHOLE) // 2, len(WHOLE) - 9, len(WHOLE) - 1])
def test_a_cut_off_archive_is_refused(tmp_path, keep):
    with pytest.raises(InputError, match=r"^a\.tar\.gz is damaged or incomplete \(.+\); download it again$"):
        unpack(tmp_path, WHOLE[:keep])


def test_a_wrong_gzip_checksum_is_found_although_tar_never_reads_it(tmp_path):
    damaged = bytearray(WHOLE)
    damaged[-8] ^= 1
    with pytest.raises(InputError, match="CRC"):
        unpack(tmp_path, bytes(damaged))


@pytest.mark.parametrize("size", [512, 1024, 1100, 1536])
def test_a_tar_that_ends_early_inside_sound_gzip_is_refused(tmp_path, size):
    with pytest.raises(InputError, match="damaged or incomplete"):
        unpack(tmp_path, gzip.compress(tar_bytes(member("a"), member("b"))[:size]))


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    content = bytearray(tar_bytes(member("a"), member("b"), member("c")))
    content[1024:1030] = b"broken"
    with pytest.raises(InputError, match="the end of the archive is missing"):
        unpack(tmp_path, gzip.compress(bytes(content)))


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04", b"", gzip.compress(b"no tar" * 200), gzip.compress(b"")],
    ids=["zip", "empty", "text", "none"],
)
def test_other_files_are_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"^a\.tar\.gz is damaged or incomplete"):
        unpack(tmp_path, content)


@pytest.mark.parametrize("bad", [[member("n" * 300)], [member("a"), member("a/b")]], ids=["long", "in file"])
def test_a_name_that_cannot_exist_is_the_archives_fault(tmp_path, bad):
    with pytest.raises(InputError, match=r"a\.tar\.gz: member .* cannot be written"):
        unpack(tmp_path, pack(*bad))


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(OSError, match="No space"):
        unpack(tmp_path, WHOLE)


def test_owners_and_modes_of_the_archive_do_not_count(tmp_path):
    target = unpack(tmp_path, pack(member("a", mode=0o6777, uid=12345)))
    found = (target / "a").stat()
    assert not found.st_mode & 0o6022 and found.st_uid == os.getuid()
