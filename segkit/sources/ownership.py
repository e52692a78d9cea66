"""What ``download`` wrote into ``data/raw``, so that it never replaces a file of a user's.

``checksums.json`` in ``data/raw`` holds ``{path: SHA-256}`` of every file that the stage wrote. It is part of the
stage's output, so it also comes with ``dvc pull`` and into DVC's temporary copies.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from segkit.base.errors import InputError, brief
from segkit.base.files import digest, read_json, write_json

RECORD = "checksums.json"
LITTER = frozenset({RECORD, ".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers write these unasked
SHOWN = 3


def write_record(folder: Path) -> None:
    """Write ``checksums.json`` of all files in the folder."""
    write_json(folder / RECORD, {name: digest(folder / name) for name in sorted(_names(folder))})


class NothingOfOthers:
    """``check`` for ``atomic_folder``: raises InputError if a folder holds anything that is not the stage's own.

    A file is the stage's own if ``checksums.json`` lists it with the bytes that it has. Earlier versions of segkit did
    not write ``checksums.json``; where it is missing, a file is replaced only if DVC's cache holds the same bytes. The
    first call reads each file once, a later one only if something changed in between.
    """

    def __init__(self, shown: Path) -> None:
        self._shown, self._seen = shown, None  # the folder's name in messages, and its state when it was checked

    def __call__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{self._shown} is not a folder, so this stage did not write it; move it elsewhere")
        state = {name: _state(folder / name) for name in _names(folder)}
        if state != self._seen:
            self._refuse(_foreign(folder, sorted(state)))
        self._seen = state

    def _refuse(self, foreign: list[str]) -> None:
        if foreign:
            more = f" and {len(foreign) - SHOWN:,} more" if len(foreign) > SHOWN else ""
            raise InputError(
                f"{self._shown} holds files that this stage did not write, or that were edited since: "
                f"{', '.join(brief(repr(name), 60) for name in foreign[:SHOWN])}{more}; nothing was changed; move them "
                f"out of {self._shown}, for example to data/own, or remove them if you do not need them"
            )


def _foreign(folder: Path, names: list[str]) -> list[str]:
    """Those of ``names`` that are not the stage's own."""
    if os.path.isfile(folder / RECORD):
        try:
            record = read_json(folder / RECORD)
        except InputError:
            record = None
        if isinstance(record, dict):
            return [name for name in names if not _has(folder / name, record.get(name), "sha256")]
    cache = _dvc_cache() if names else None
    return [name for name in names if not (cache and _is_cached(folder / name, cache))]


def _names(folder: Path) -> Iterator[str]:
    """Paths, relative to the folder, of everything in it but folders and LITTER; links are not followed."""

    def fail(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=fail):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (Path(place, name).relative_to(folder).as_posix() for name in (*files, *links) if name not in LITTER)


def _state(path: Path) -> tuple[int, ...]:
    """What an edit of a file changes."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _has(path: Path, expected: object, algorithm: str) -> bool:
    # DVC may have linked it to its cache; a pipe would be waited for.
    return expected is not None and path.is_file() and digest(path, algorithm) == expected


def _is_cached(path: Path, cache: Path) -> bool:
    if not path.is_file():
        return False
    md5 = digest(path, "md5")
    copy = cache / "files" / "md5" / md5[:2] / md5[2:]
    return copy.is_file() and copy.stat().st_size == path.stat().st_size


def _dvc_cache() -> Path | None:
    """The folder of DVC's cache; None without DVC."""
    answer = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) if answer.returncode == 0 and answer.stdout.strip() else None
