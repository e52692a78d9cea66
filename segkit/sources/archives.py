"""Unpack an archive that nobody vouches for: every member is checked before it touches the disk."""

import errno
import gzip
import math
import platform
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath

from segkit.base import progress
from segkit.base.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"

# What tarfile and zlib raise on damaged bytes; the last three come out of malformed extended headers.
_DAMAGE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
)

# A member's name cannot exist on this disk. Other errors of the system (disk full, no permission) are not
# the archive's fault and are raised as they are.
_IMPOSSIBLE_NAMES = (
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.EILSEQ,
)

_BLOCK = 512  # bytes of a tar block
_OVERHEAD = 8 * _BLOCK  # headers and padding allowed for each member, bytes
_LONGEST_HEADER = 1 << 14  # bytes before a member's contents: names, extended headers, maps of sparse files
_DEEPEST = 16  # parts of a path; nobody counts the folders that one member makes, nor can Python remove 1,000
_CHUNK = 1 << 20  # bytes

_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
}


def require_gzip(archive: Path) -> None:
    """Raise InputError unless ``archive`` can be read and starts as gzip does."""
    try:
        with open(archive, "rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise InputError(f"{archive.name}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{archive.name} cannot be read: {error.strerror}") from None
    if start.startswith(GZIP_MAGIC):
        return
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{archive.name} is a web page, not a gzip archive")
    raise InputError(f"{archive.name} is not a gzip archive: it starts with {start[:16]!r}")


def extract(
    archive: Path,
    target: Path,
    *,
    max_bytes: int,
    max_members: int,
    skip: Callable[[str], bool] = lambda name: False,
) -> None:
    """Unpack a ``.tar.gz`` into the folder ``target``, only regular files and folders, only below ``target``.

    max_bytes: limit of the sum of the members' sizes; max_members: limit of their number, skipped ones
    included. ``skip`` tells from a member's name whether to leave it out.

    Raises InputError that names the archive, and the member where one is at fault: absolute path, ``..``,
    link, device, limit passed, damaged or cut-off bytes. What was unpacked by then stays: hand in a temporary
    folder. Errors of the disk (full, no permission) are raised as OSError.
    """
    if not hasattr(tarfile, "data_filter"):
        raise InputError(f"Python {platform.python_version()} cannot unpack {archive.name} safely; use 3.11.4 or newer")
    require_gzip(archive)
    with gzip.open(archive, "rb") as unpacked:
        stream = _BoundedReader(unpacked, max_bytes + max_members * _OVERHEAD + _CHUNK)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                members = _checked(tar, stream, max_bytes, max_members)
                for member in progress.bar(members, label=f"unpacking {archive.name}", unit="file"):
                    if not skip(member.name):
                        _extract_member(tar, member, target)
            # tarfile takes a damaged header for the end of the archive. The true end is a block of zeros.
            if stream.latest != bytes(_BLOCK):
                raise tarfile.ReadError("the end of the archive is missing")
            while stream.read(_CHUNK):
                pass  # gzip compares its checksum when it reaches the end
        except _DAMAGE as error:
            raise InputError(f"{archive.name} is damaged or cut off ({_one_line(error)}); fetch it again") from None
        except _Refused as error:
            raise InputError(f"{archive.name}: {error}; this is not the expected archive") from None


class _Refused(Exception):
    """The archive is readable, and its contents are refused."""


def _checked(
    tar: tarfile.TarFile, stream: "_BoundedReader", max_bytes: int, max_members: int
) -> Iterator[tarfile.TarInfo]:
    """The archive's members, each checked before it is handed out."""
    total = 0
    for count, member in enumerate(iter(tar.next, None), start=1):
        stream.left = math.inf
        tar.members.clear()  # tarfile would keep every header
        shown = _shown(member)
        if reason := _fault(member):
            raise _Refused(f"{shown} is {reason}")
        total += member.size
        if count > max_members:
            raise _Refused(f"{shown} is one more than the {max_members} members allowed")
        if total > max_bytes:
            raise _Refused(f"with {shown} it holds more than the {max_bytes} bytes allowed")
        yield member
        stream.left = _LONGEST_HEADER
    stream.left = math.inf


def _shown(member: tarfile.TarInfo) -> str:
    name = member.name if len(member.name) <= 60 else f"{member.name[:57]}..."
    return f"member {name!r}"


def _fault(member: tarfile.TarInfo) -> str | None:
    """Why the member must not be unpacked; stricter than tarfile's own filter, which allows links."""
    path = PureWindowsPath(member.name)  # splits at / and at \, so that no system reads more into the name
    if "\0" in member.name:
        return "a name with a NUL in it"
    if path.root or path.drive:
        return "an absolute path"
    if ".." in path.parts:
        return "a path with '..'"
    if len(path.parts) > _DEEPEST:
        return f"a path of more than {_DEEPEST} parts"
    if not (member.isreg() or member.isdir()):
        return _KINDS.get(member.type, f"of the unknown type {member.type!r}")
    if member.issparse() or member.size < 0:
        return "a sparse file or one of negative size"
    return None


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    try:
        tar.extract(member, target, filter="data")
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        if error.errno not in _IMPOSSIBLE_NAMES:
            raise
        raise _Refused(f"{_shown(member)} cannot be written ({error.strerror})") from None


class _BoundedReader:
    """The unpacked stream as tarfile sees it: limits on all bytes and on those of each header; the latest is kept."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.left: float = _LONGEST_HEADER  # bytes that may be read until a member is handed out
        self.latest = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise _Refused(f"a header of more than {_LONGEST_HEADER} bytes")
        self.left -= size
        self.latest = self._stream.read(size)
        if self._stream.tell() > self._limit:
            raise _Refused(f"unpacks to more than {self._limit} bytes, headers included")
        return self.latest

    def seek(self, position: int) -> int:
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
