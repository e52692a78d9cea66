"""Any bytes as a ``.tar.gz``, in most inputs with right check sums.

The first byte of an input is a sum of the flags below; the rest is the tar, or the compressed file itself.
"""

import gzip
import io
import tarfile
from pathlib import Path

from segkit.base.errors import InputError
from segkit.sources.archives import extract
from tests.fuzz.target import Target

COMPRESSED, UNSEALED = 1, 2
BLOCK = 512
MAX_BYTES, MAX_MEMBERS = 50_000, 20


def _member(name: str, content: bytes = b"", **changes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def _tar(*members: tuple[tarfile.TarInfo, bytes], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
        end = tar.offset
    return buffer.getvalue()[: end + 2 * BLOCK]


def _seeds() -> list[bytes]:
    folder, inner = _member("images", type=tarfile.DIRTYPE, mode=0o755), _member("images/a.jpg", b"picture")
    plain = _tar(folder, inner, _member("._a", b"x"))
    return [
        b"\0" + plain,
        b"\0" + _tar(_member("d" * 120, b"x"), tar_format=tarfile.GNU_FORMAT),
        b"\0" + _tar(_member("ü" * 60, b"x", mtime=1.5), tar_format=tarfile.PAX_FORMAT),
        b"\0" + _tar(_member("a", b"x" * 600), _member("a", b"y"), _member("b/c/d", b"z")),
        b"\0" + _tar(_member("a", type=tarfile.SYMTYPE, linkname="../.."), _member("a/x", b"x")),
        b"\0" + _tar(inner, _member("l", type=tarfile.LNKTYPE, linkname="images/a.jpg"), _member("l", b"x")),
        b"\0" + _tar(_member("../up", b"x")),
        bytes([UNSEALED]) + plain,
        bytes([COMPRESSED]) + gzip.compress(plain, mtime=0),
    ]


def _sealed(tar: bytes) -> bytes:
    """With the right sum in every block that follows on a member's contents."""
    data, at = bytearray(tar), 0
    while at + BLOCK <= len(data) and any(data[at : at + BLOCK]):
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + BLOCK])
        digits = bytes(data[at + 124 : at + 136]).strip(b" \0")
        size = int(digits, 8) if digits and set(digits) <= set(b"01234567") else 0
        at += BLOCK * (1 + -(-size // BLOCK))
    return bytes(data)


def _run(content: bytes, folder: Path) -> None:
    flags, rest = content[0] if content else 0, content[1:]
    archive, target = folder / "a.tar.gz", folder / "inner" / "target"
    if not flags & COMPRESSED:
        rest = gzip.compress(rest if flags & UNSEALED else _sealed(rest), compresslevel=1)
    archive.write_bytes(rest)
    target.mkdir(parents=True)
    try:
        extract(archive, target, max_bytes=MAX_BYTES, max_members=MAX_MEMBERS, skip=lambda name: False)
    finally:
        assert sorted(folder.iterdir()) == [archive, folder / "inner"] and [*(folder / "inner").iterdir()] == [target]
        found = [*target.rglob("*")]
        assert not any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in found)
        files = [path for path in found if path.is_file()]
        assert len(files) <= MAX_MEMBERS and sum(path.stat().st_size for path in files) <= MAX_BYTES


WORDS = (
    *("../", "/etc/x", "..\\", "C:\\", "ustar\x0000", "ustar  \0", "././@LongLink", "./", "//", "\0" * 512),
    *("11 path=a\n", "14 path=../a\n", "9 size=9\n", "13 size=1e9\n", "12 mtime=x\n", "19 linkpath=/etc/x\n"),
    *("22 GNU.sparse.major=1\n", "22 GNU.sparse.minor=0\n", "25 GNU.sparse.size=99999\n", "77777777777", "-1"),
    *(f"\0{kind}" for kind in "0123456789xgLKSDV"),
)
TARGET = Target(_seeds, _run, InputError, longest=1000, max_len=6000, memory=1024, words=WORDS)
