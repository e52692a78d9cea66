"""The two archives of the Oxford-IIIT Pet set: found at one of several addresses, verified, unpacked."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segkit.base import files
from segkit.base.errors import InputError
from segkit.base.lock import hold
from segkit.base.params import OxfordPet
from segkit.base.workspace import kept
from segkit.sources import addresses, archives
from segkit.sources.addresses import SUMS_NAME, Checksum, FolderSource, WebSource, parse_sums


@dataclass(frozen=True)
class Archive:
    """One archive: what it must hold and the most it may cost. Limits are over twice the official sizes."""

    name: str
    folder: str
    contents: tuple[str, ...]  # glob patterns, each with a match after unpacking
    max_download: int  # bytes
    max_unpacked: int  # bytes


# The small one first: an address that lacks it, or a page in its place, is found out soon.
ARCHIVES = (
    Archive(
        name="annotations.tar.gz",
        folder="annotations",
        contents=("list.txt", "trainval.txt", "test.txt", "trimaps/*.png"),
        max_download=200_000_000,
        max_unpacked=1_000_000_000,
    ),
    Archive(
        name="images.tar.gz",
        folder="images",
        contents=("*.jpg",),
        max_download=2_000_000_000,
        max_unpacked=4_000_000_000,
    ),
)
MAX_MEMBERS = 50_000  # there are 7,390 pictures, and the annotations hold up to four members for each

OFFICIAL_HOSTS = frozenset({"robots.ox.ac.uk", "www.robots.ox.ac.uk", "thor.robots.ox.ac.uk"})
OFFICIAL_MD5 = {
    "images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
    "annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f",
}


def bring(target: Path, options: OxfordPet, seed: int, workers: int) -> str:
    """Fetch the set from the first of ``options.urls`` that has it, with ``.segkit/downloads`` as cache."""
    with hold(kept() / "locks" / "downloads", "the same downloads"):
        return "from " + fetch_and_extract(target, options.urls, kept() / "downloads")


def fetch_and_extract(
    target: Path, urls: Sequence[str], cache: Path, *, pause: Callable[[float], None] = time.sleep
) -> str:
    """Put ``images/`` and ``annotations/`` of the data set into the folder ``target``.

    urls: base addresses of the two archives, tried in order: ``https://``, ``http://``, ``file://`` or a
    plain folder. cache: folder for the downloaded archives; kept between calls, a broken download goes on where
    it stopped, and one whose checksum is known is not fetched twice. pause: waits so many seconds between attempts.

    Prints a line for each archive unpacked and for each address that failed. Returns a short text: the
    address used and what verified it. Raises InputError, with the reason of every address, if none served,
    or if the disk refuses a file; nothing half unpacked stays.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        address, verified = _unpack_first_sound(target, urls, cache, pause)
    except OSError as error:
        place = error.filename or f"{target} or {cache}"
        reason = error.strerror or error
        raise InputError(f"{place}: {reason}; free space there or mend its permissions") from None
    return f"{address} (verified by {verified})"


def _unpack_first_sound(
    target: Path, urls: Sequence[str], cache: Path, pause: Callable[[float], None]
) -> tuple[str, str]:
    """Unpack from the first address that serves; returns it and what verified the archives."""
    failures = []
    for position, address in enumerate(urls, start=1):
        try:
            with _staging(target) as staging:
                verified = _from_address(address, staging, cache, pause)
                _move_into_place(staging, target)
            return address, verified
        except InputError as error:
            reason = " ".join(str(error).split())
            failures.append(f"{address}: {reason}")
            what_next = "trying the next address" if position < len(urls) else "no address is left"
            print(f"Oxford-IIIT Pet from {address}: {reason}; {what_next}", flush=True)
    raise InputError(
        f"no address gave the Oxford-IIIT Pet archives: {'; '.join(failures) or 'none is set'}; put "
        f"{' and '.join(archive.name for archive in ARCHIVES)} into a folder and set data.oxford_pet.urls to "
        "[file:///that/folder]"
    )


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder inside ``target``, on the same disk, so that whole folders can be moved out of it."""
    staging = target / ".unpacking"
    files.remove(staging)
    staging.mkdir()
    try:
        yield staging
    finally:
        files.remove(staging)


def _from_address(address: str, staging: Path, cache: Path, pause: Callable[[float], None]) -> str:
    """Unpack both archives into ``staging``; returns what verified them."""
    source = addresses.at(address, cache, pause)
    checksums, verified = _checksums(source)
    for archive in ARCHIVES:
        path = _get_and_unpack(archive, source, checksums.get(archive.name), staging)
        print(f"{archive.name}: {path.stat().st_size / 1e6:.1f} MB from {address}", flush=True)
    for archive in ARCHIVES:
        if archive.name not in checksums:
            # Nothing would tell it from a newer one at the same address.
            source.discard(archive.name)
    return verified


def _get_and_unpack(
    archive: Archive, source: FolderSource | WebSource, checksum: Checksum | None, staging: Path
) -> Path:
    for last_try in (False, True):
        path, continued = source.get(archive.name, checksum, archive.max_download)
        try:
            _verify_and_unpack(archive, path, checksum, staging)
            break
        except InputError:
            source.discard(archive.name)
            if last_try or not continued:
                raise
            # Bytes from before, perhaps of an older file on the server, may be to blame. If-Range would not spare this:
            # servers may lack it, two addresses never share a validator; and gzip's own sum covers every byte.
            print(f"{archive.name}: the continued download is not sound; fetching all of it again", flush=True)
    return path


def _verify_and_unpack(archive: Archive, path: Path, checksum: Checksum | None, staging: Path) -> None:
    archives.require_gzip(path)
    if checksum:
        found = files.digest(path, checksum.algorithm)
        if found != checksum.digest:
            raise InputError(
                f"{archive.name} has the {checksum.algorithm} checksum {found}, expected {checksum.digest}"
            )
    own = staging / archive.name
    files.remove(own)
    own.mkdir()
    archives.extract(path, own, max_bytes=archive.max_unpacked, max_members=MAX_MEMBERS, skip=_is_resource_fork)
    folder = own / archive.folder
    missing = [pattern for pattern in archive.contents if not any(folder.glob(pattern))]
    if missing:
        raise InputError(f"{archive.name} holds no {archive.folder}/{f', {archive.folder}/'.join(missing)}")


def _is_resource_fork(name: str) -> bool:
    """Whether a member is one of the ``._NAME`` files that macOS adds; they are no pictures."""
    return PurePosixPath(name).name.startswith("._")


def _move_into_place(staging: Path, target: Path) -> None:
    """Move the two folders up into ``target``; whatever else the archives held is left behind."""
    for archive in ARCHIVES:
        files.remove(target / archive.folder)
        os.replace(staging / archive.name / archive.folder, target / archive.folder)


def _checksums(source: FolderSource | WebSource) -> tuple[dict[str, Checksum], str]:
    """The checksums that the archives of this source must have, and the name of what gave them."""
    if source.host in OFFICIAL_HOSTS:
        official = {name: Checksum("md5", digest) for name, digest in OFFICIAL_MD5.items()}
        return official, "the official MD5 checksums"
    sums = source.sums()
    if sums is None:
        return {}, "the archives' own gzip checksums only"
    checksums = parse_sums(sums)
    for archive in ARCHIVES:
        if archive.name not in checksums:
            raise InputError(f"{SUMS_NAME} has no line for {archive.name}")
    return checksums, SUMS_NAME
