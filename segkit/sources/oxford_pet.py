"""The two archives of the Oxford-IIIT Pet data set: downloaded from one of several mirrors, verified, unpacked."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segkit.base import files
from segkit.base.errors import InputError, brief
from segkit.base.lock import hold
from segkit.base.params import OxfordPet
from segkit.base.workspace import kept
from segkit.sources.archives import extract
from segkit.sources.fetch import discard
from segkit.sources.mirrors import SUMS, Mirror


class Archive(NamedTuple):
    """One archive, what its folder must hold (glob patterns), and limits in bytes over twice the official sizes."""

    name: str
    folder: str
    contents: tuple[str, ...]
    max_download: int
    max_unpacked: int


# The small one first: a mirror that lacks it, or sends a web page instead, is noticed early.
ANNOTATIONS = ("list.txt", "trainval.txt", "test.txt", "trimaps/*.png")
ARCHIVES = (
    Archive("annotations.tar.gz", "annotations", ANNOTATIONS, max_download=200_000_000, max_unpacked=1_000_000_000),
    Archive("images.tar.gz", "images", ("*.jpg",), max_download=2_000_000_000, max_unpacked=4_000_000_000),
)
MAX_MEMBERS = 50_000  # there are 7,390 images, and the annotations hold up to four members for each

OFFICIAL_HOSTS = frozenset({"robots.ox.ac.uk", "www.robots.ox.ac.uk", "thor.robots.ox.ac.uk"})
OFFICIAL_MD5 = {
    "images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
    "annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f",
}


def bring(target: Path, options: OxfordPet, seed: int, workers: int) -> str:
    """Put ``images/`` and ``annotations/`` of the data set into the folder ``target``; seed and workers are not used.

    ``options.urls``: base addresses of the two archives, tried in order: ``https://``, ``http://``, ``file://`` or a
    plain folder. Downloads are kept in ``.segkit/downloads``: a broken one is resumed, and an archive whose checksum is
    known is downloaded only once. Prints a line for each archive unpacked and each address that failed.

    Returns the address used and what verified the archives. Raises InputError with the reason for every address if none
    worked, or if a file cannot be written; no partly unpacked files are left.
    """
    cache = kept() / "downloads"
    with hold(kept() / "locks" / "downloads", "the same downloads"):
        try:
            return _from_first_sound(options.urls, target, cache)
        except OSError as error:
            place, reason = error.filename or f"{target} or {cache}", error.strerror or error
            raise InputError(f"{brief(place, 300)}: {reason}; free space there or fix its permissions") from None


def _from_first_sound(urls: Sequence[str], target: Path, cache: Path) -> str:
    failures, staging = [], target / ".unpacking"
    for position, address in enumerate(urls, start=1):
        shown = printable(address)
        staging.mkdir(parents=True)
        try:
            verified = _unpack_from(Mirror(address, cache), shown, staging)
            for archive in ARCHIVES:  # anything else in the archives is ignored
                os.replace(staging / archive.name / archive.folder, target / archive.folder)
            return f"from {shown} (verified by {verified})"
        except InputError as error:
            failures.append(f"{shown}: {error}")
            what_next = "trying the next address" if position < len(urls) else "no more addresses"
            print(f"Oxford-IIIT Pet from {shown}: {error}; {what_next}", flush=True)
        finally:
            files.remove(staging)
    raise InputError(
        f"could not get the Oxford-IIIT Pet archives from any address: {'; '.join(failures)}; put "
        f"{' and '.join(archive.name for archive in ARCHIVES)} into a folder and set data.oxford_pet.urls to "
        "[file:///that/folder]"
    )


def printable(address: str) -> str:
    """An address for a message: short, and without a user name and password."""
    public = address if address.startswith(("file:", "/")) else re.sub(":.*@", "://****@", address, flags=re.DOTALL)
    return brief(public, 200)


def _unpack_from(mirror: Mirror, shown: str, staging: Path) -> str:
    """Unpack both archives into ``staging``; returns what verified them."""
    checksums, verified = _checksums(mirror)
    paths = []
    for archive in ARCHIVES:
        paths.append(_get_and_unpack(archive, mirror, checksums.get(archive.name), staging))
        print(f"{archive.name}: {paths[-1].stat().st_size / 1e6:.1f} MB from {shown}", flush=True)
    if not checksums:  # without a checksum, newer archives at the same address would go unnoticed
        for path in paths:
            discard(path)
    return verified


def _checksums(mirror: Mirror) -> tuple[dict[str, str], str]:
    """The checksums that the archives of this mirror must have, and where they come from."""
    if mirror.host in OFFICIAL_HOSTS:
        return {name: f"md5 {digest}" for name, digest in OFFICIAL_MD5.items()}, "the official MD5 checksums"
    checksums = mirror.sums()
    if checksums is None:
        return {}, "the archives' own gzip checksums only"
    for archive in ARCHIVES:
        if archive.name not in checksums:
            raise InputError(f"{SUMS} has no line for {archive.name}")
    return checksums, SUMS


def _get_and_unpack(archive: Archive, mirror: Mirror, checksum: str | None, staging: Path) -> Path:
    for last_try in (False, True):
        path, resumed = mirror.get(archive.name, checksum, archive.max_download)
        try:
            _verify_and_unpack(archive, path, checksum, staging)
            break
        except InputError as error:
            discard(path)
            if last_try or not resumed:
                raise
            # The earlier bytes may be from another mirror or an older file.
            print(f"{error}; part of it is from an earlier download, so all of it is downloaded again", flush=True)
    return path


def _verify_and_unpack(archive: Archive, path: Path, checksum: str | None, staging: Path) -> None:
    with open(path, "rb") as file:
        if file.read(64).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
            raise InputError(f"{archive.name} is a web page, not a gzip archive")
    if checksum:
        algorithm, expected = checksum.split()
        found = files.digest(path, algorithm)
        if found != expected:
            raise InputError(f"{archive.name} has the {algorithm} checksum {found}, expected {expected}")
    own = staging / archive.name
    files.remove(own)
    own.mkdir()
    # macOS adds files ._NAME, which are not images.
    skip = re.compile(r"(.*/)?\._[^/]*").fullmatch
    extract(path, own, max_bytes=archive.max_unpacked, max_members=MAX_MEMBERS, skip=skip)
    folder = own / archive.folder
    missing = [pattern for pattern in archive.contents if not any(folder.glob(pattern))]
    if missing:
        raise InputError(f"{archive.name} holds no {archive.folder}/{f', {archive.folder}/'.join(missing)}")
