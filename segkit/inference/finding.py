"""The images that a command line names, and where the results of each go."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import has_magic
from itertools import chain, count
from pathlib import Path

from segkit.base.errors import InputError, brief
from segkit.base.files import visible_files
from segkit.inference import marks
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
            raise InputError(f"--out {brief(out, 300)}: {brief(folder, 300)} is no folder; name one, or a new one")


def find(arguments: Sequence[str], out: Path) -> list[Found]:
    """The images of files, folders (with all below them, except hidden ones and ``out``) and glob patterns, each once.

    Results keep the folders of the images below the deepest folder that holds all arguments. Images that differ in
    their ending alone keep it; what may still be one file where upper and lower case are the same gets a number. Raises
    InputError for a path or a pattern without images, and for images in ``out`` itself.
    """
    roots: dict[str, str] = {}  # of each file, the folder that it was found in first
    for argument in arguments:
        found = dict(_expanded(argument, out))
        if not (found or (len(arguments) > 1 and _same(argument, out))):  # PHOTOS/* may hold the results of before
            raise InputError(f"{brief(argument, 300)} holds no images; name a JPEG, PNG, TIFF ..., or a folder of them")
        for file, root in found.items():
            roots.setdefault(file, root)
    if not roots:
        raise InputError(f"only {brief(out, 300)} is named, which holds no images but results; name images")
    top = os.path.commonpath(roots.values())
    places = _places([os.path.relpath(file, top) for file in roots])
    return [Found(Path(file), place) for file, place in zip(roots, places, strict=True)]


def _places(files: Sequence[str]) -> Iterator[str]:
    """A place for each of ``files``, no two of which are one name to any file system."""
    short = [os.path.splitext(file)[0] for file in files]
    times = Counter(map(_folded, short))
    taken: set[str] = set()
    for file, place in zip(files, short, strict=True):
        first = place if times[_folded(place)] == 1 else file
        numbered = (f"{file}_{number}" for number in count(2))
        chosen = next(each for each in chain([first, file], numbered) if _folded(each) not in taken)
        taken.add(_folded(chosen))
        yield chosen


def _folded(place: str) -> str:
    """The same for names that are one on some file system."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", place).casefold())


def _expanded(argument: str, out: Path) -> Iterator[tuple[str, str]]:
    """Absolute paths of files, each with the folder that it was found in."""
    if os.path.isdir(argument):
        top = _absolute(argument)
        files = _below(top, out)
        if not _same(top, out):
            yield from ((file, top) for file in files)
        elif not all(map(marks.read, files)):
            raise InputError(f"--out {brief(out, 300)} is the folder of the images; choose another")
    elif os.path.lexists(argument):
        folder, name = os.path.split(argument)
        yield os.path.join(_absolute(folder), name), _absolute(folder)
    elif has_magic(argument):
        for match in _matches(argument):
            yield from _expanded(str(match), out)
    else:
        raise InputError(f"{brief(argument, 300)}: no such file or folder")


def _absolute(folder: str) -> str:
    """Without "..", which behind a link leads elsewhere than the name says."""
    return os.path.realpath(folder) if ".." in Path(folder).parts else os.path.abspath(folder)


def _same(one: str, other: Path) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _matches(pattern: str) -> list[Path]:
    """Sorted; not through links within "**", which may lead in a circle; hidden ones only if the pattern names some."""
    whole = Path(pattern)
    try:
        matches = Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))
        return sorted(match for match in matches if _names_hidden(whole) or not _names_hidden(match))
    except ValueError as error:
        raise InputError(f"{brief(pattern, 300)} is no pattern: {brief(error)}") from None


def _names_hidden(path: Path) -> bool:
    return any(part[0] == "." and part != ".." for part in path.parts)


def _below(top: str, out: Path) -> Iterator[str]:
    """Images in a folder and all below it but ``out``, each folder once, also where links lead back to it."""

    def refuse(error: OSError) -> None:
        where, why = brief(error.filename, 300), error.strerror
        raise InputError(f"{where} cannot be read: {why}; change its permissions, or name other folders")

    for folder, names in visible_files(top, refuse, without=[out]):
        yield from (os.path.join(folder, name) for name in names if os.path.splitext(name)[1].lower() in ENDINGS)
