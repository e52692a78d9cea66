"""Files and folders that are written completely or not at all, and their digests."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from segkit.base.errors import InputError, brief


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb", *, durable: bool = True, **kwargs: Any) -> Iterator[IO]:
    """Open a file beside ``path``; on success flush, fsync and rename it to ``path``.

    Without ``durable`` there is no fsync: whole after a kill, perhaps not after a power failure, for many small files
    that can be made again.

    On any exception the partial file is removed and an existing ``path`` is unchanged; after a kill the next write of
    ``path`` replaces the partial file. An existing file is replaced and never written through, because it may be a hard
    link into DVC's cache.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        with naming(path), open(partial, mode, **kwargs) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


@contextmanager
def atomic_folder(path: str | Path, check: Callable[[Path], None] = lambda former: None) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it replaces ``path``, on any exception it is removed.

    ``check`` is called with the folder that would be replaced, if there is one: before anything is written, and again
    when it was moved aside. If it raises, that folder stays as it is.
    """
    path = Path(path)
    partial, former = _partial(path), path.with_name(f".{path.name}.partial.former")
    if os.path.lexists(former) and not os.path.lexists(path):  # killed between the two renames
        os.replace(former, path)
    if os.path.lexists(path):
        check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
    partial.mkdir()
    try:
        with naming(path):
            yield partial
        os.sync()  # one call for thousands of small files
        remove(former)
        if os.path.lexists(path):
            os.replace(path, former)
            check(former)
        os.replace(partial, path)
    except BaseException:
        remove(partial)
        if not os.path.lexists(path) and os.path.lexists(former):
            os.replace(former, path)
        raise
    remove(former)
    _sync_folder(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add ``path`` to an OSError that names no file, as on a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _sync_folder(folder: Path) -> None:
    """Make a rename in it durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline; NaN and infinity raise ValueError."""
    with atomic_write(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file that a stage wrote; raises InputError if it is not valid JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({brief(error)}); run 'dvc repro' or 'dvc pull'") from None


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a header line and rows, with ``\\n`` line ends on every system."""
    with atomic_write(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def csv_rows(path: str | Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header line, one dict at a time."""
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def visible_files(
    top: str | Path, refuse: Callable[[OSError], None], without: Iterable[str | Path] = ()
) -> Iterator[tuple[str, list[str]]]:
    """Each folder from ``top`` down with the sorted names of its files, without what is hidden; each folder once, also
    where links lead back to it, and none of ``without``. ``refuse`` is called for a folder that cannot be read."""
    known = {_identity(folder) for folder in (top, *without) if os.path.exists(folder)}
    for folder, folders, names in os.walk(top, followlinks=True, onerror=refuse):
        kept = []
        for name in sorted(filter(_is_visible, folders)):
            try:
                identity = _identity(os.path.join(folder, name))
            except OSError as error:
                refuse(error)
                continue
            if identity not in known:
                known.add(identity)
                kept.append(name)
        folders[:] = kept
        yield folder, sorted(filter(_is_visible, names))


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
