"""What ``download`` wrote into its folder, so that it never replaces a file of a user's.

``checksums.json`` in that folder holds ``{path: SHA-256}`` of every file that the stage wrote. It is part of the
stage's output, so it also comes with ``dvc pull`` and into DVC's temporary copies.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from segkit.base.errors import InputError, brief
from segkit.base.files import digest, read_json, write_json

RECORD = "checksums.json"
LITTER = frozenset({RECORD, ".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers write the others unasked
SHOWN = 3


def write_record(folder: Path) -> None:
    """Write ``checksums.json`` of all files in the folder."""
    write_json(folder / RECORD, {name: digest(folder / name) for name in sorted(_names(folder))})


class NothingOfOthers:
    """``check`` for ``atomic_folder``: raises InputError if a folder holds anything that is not the stage's own.

    A file is the stage's own if ``checksums.json`` lists it with the bytes that it has. The first call reads each file
    once, a later one only if something changed in between.
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
    try:
        record = read_json(folder / RECORD)
    except (InputError, OSError):
        record = None
    known = record if isinstance(record, dict) else {}
    return [name for name in names if not (name in known and _has(folder / name, known[name]))]


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


def _has(path: Path, checksum: object) -> bool:
    # DVC may have put a link to its cache here; a pipe would be waited for.
    return path.is_file() and digest(path) == checksum
