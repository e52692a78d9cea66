"""The images that a command line names, and where the results of each go."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from segkit.base.errors import InputError, brief
from segkit.sources.patterns import ENDINGS


@dataclass(frozen=True)
class Found:
    """An image; ``place``: how the paths of its results begin, below the output folder (``cats/tom``)."""

    path: Path
    place: str


def refuse_output(out: Path) -> None:
    """Raise InputError if ``out`` cannot be a folder."""
    for folder in (out, *out.parents):
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError(f"--out {brief(out, 300)}: {brief(folder, 300)} is a file; name a folder")


def find(arguments: Sequence[str], out: Path) -> list[Found]:
    """The images of files, folders (with all below them, except hidden ones and ``out``) and glob patterns, each once.

    Results keep the folders of the images below the deepest folder that holds all of them. Images that differ in their
    ending alone keep it. Raises InputError for a path or a pattern without images.
    """
    roots: dict[str, str] = {}  # of each file, the folder that it was found in
    for argument in arguments:
        found = dict(_expanded(argument, os.path.abspath(out)))
        if not found:
            raise InputError(
                f"{brief(argument, 300)} holds no images; name a file or folder of JPEG, PNG, TIFF or others"
            )
        roots = found | roots
    top = os.path.commonpath(roots.values())
    whole = {file: os.path.relpath(file, top) for file in roots}
    short = {file: os.path.splitext(place)[0] for file, place in whole.items()}
    times = Counter(place.casefold() for place in short.values())
    places = {file: place if times[place.casefold()] == 1 else whole[file] for file, place in short.items()}
    if len(set(map(str.casefold, places.values()))) < len(places):
        places = whole
    return [Found(Path(file), place) for file, place in places.items()]


def _expanded(argument: str, out: str) -> Iterator[tuple[str, str]]:
    """Absolute paths of files, in the order of their names, each with the folder that it was found in."""
    if os.path.isdir(argument):
        yield from _walk(os.path.abspath(argument), out)
    elif os.path.lexists(argument):
        path = os.path.abspath(argument)
        yield path, os.path.dirname(path)
    elif has_magic(argument):
        for match in sorted(glob(argument, recursive=True)):
            yield from _expanded(match, out)
    else:
        raise InputError(f"{brief(argument, 300)}: no such file or folder")


def _walk(top: str, out: str) -> Iterator[tuple[str, str]]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{brief(error.filename, 300)} cannot be read: {error.strerror}")

    if top == out:
        raise InputError(f"--out {brief(out, 300)} is the folder of the images; choose another")
    for folder, folders, names in os.walk(top, onerror=refuse):
        folders[:] = sorted(name for name in folders if name[0] != "." and os.path.join(folder, name) != out)
        for name in sorted(names):
            if name[0] != "." and os.path.splitext(name)[1].lower() in ENDINGS:
                yield os.path.join(folder, name), top
