"""Unpack a ``.tar.gz`` from outside: relative paths of regular files and folders, without their owners and modes, and
within limits on size, number, depth and headers. tarfile's data filter, where there is one, checks once more."""

import errno
import gzip
import math
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from segkit.base import progress
from segkit.base.errors import InputError, brief

MAX_DEPTH = 16  # parts of a member's path
MAX_HEADER = 1 << 14  # bytes before a member's contents: long names, extended headers, maps of sparse files
BLOCK = 512  # bytes of a tar block
FILTER = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.0 to 3.11.3 have none
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
BAD_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)


def extract(archive: Path, target: Path, *, max_bytes: int, max_members: int, skip: Callable[[str], bool]) -> None:
    """Unpack regular files and folders into the folder ``target``, but not those whose name ``skip`` accepts.

    ``max_bytes``: of the contents of all members; ``max_members``: including those skipped. Raises InputError that
    names the archive, and the member if one is at fault; what was unpacked by then stays. A full disk raises OSError.
    """
    total, shown, stream = 0, "the first member", _Bounded(archive)
    stream.limit = max_bytes + max_members * 8 * BLOCK + (1 << 20)  # with headers, padding and what follows
    try:
        with stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            members = progress.bar(iter(tar.next, None), label=f"unpacking {archive.name}", unit="file")
            for count, member in enumerate(members, start=1):
                stream.header_left, tar.members, total = math.inf, [], total + member.size  # tarfile keeps all headers
                shown = f"member {brief(repr(member.name), 60)}"
                if fault := _fault(member):
                    raise InputError(f"{archive.name}: {shown} {fault}")
                if count > max_members or total > max_bytes:
                    raise InputError(f"{archive.name}: over {max_members} members or {max_bytes} bytes with {shown}")
                if not skip(member.name):
                    tar.extract(member, target, set_attrs=False, **FILTER)
                stream.header_left = MAX_HEADER
            if stream.latest != bytes(BLOCK):  # tarfile takes a damaged header for the end
                raise EOFError("the end of the archive is missing")
            stream.header_left = math.inf
            while stream.read(1 << 20):
                pass  # gzip compares its checksum when it reaches the end
    except DAMAGE as error:
        raise InputError(f"{archive.name} is damaged or incomplete ({brief(error)}); download it again") from None
    except OSError as error:
        if error.errno not in BAD_NAME:
            raise
        raise InputError(f"{archive.name}: {shown} cannot be written ({error.strerror})") from None


def _fault(member: tarfile.TarInfo) -> str | None:
    """Why a member is refused. The data filter would let links pass, and any depth; old Pythons have no such filter."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or len(path.parts) > MAX_DEPTH:
        return f"has an absolute path, one with '..', or one of more than {MAX_DEPTH} parts"
    sound = member.isdir() or (member.isreg() and not member.issparse() and member.size >= 0)
    return None if sound else "is not a regular file or folder"


class _Bounded(gzip.GzipFile):
    """Limits all unpacked bytes and those of a header; keeps what was read last."""

    limit = header_left = float(MAX_HEADER)
    latest = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.header_left:
            raise InputError(f"{Path(self.name).name}: a header of more than {MAX_HEADER} bytes")
        self.header_left -= size
        self.latest = super().read(size)
        if self.tell() > self.limit:
            raise InputError(f"{Path(self.name).name}: unpacks to more than {self.limit:.0f} bytes, headers included")
        return self.latest
