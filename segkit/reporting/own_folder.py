"""A user's folders of images and masks, matched, and the lines that say what was understood."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from segkit.base.errors import InputError, brief
from segkit.base.files import write_json
from segkit.base.params import Folder
from segkit.base.workspace import user_path
from segkit.dataset.catalog import SPLITS, Sample
from segkit.sources.folder import understand

LABEL = 12


def show(label: str, text: str) -> None:
    """One finding, wrapped to the width of the terminal behind its label."""
    width = max(40, min(120, shutil.get_terminal_size().columns) - LABEL)
    first, *more = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    print(f"{label:<{LABEL}}{first}", *(" " * LABEL + line for line in more), sep="\n", flush=True)


@contextmanager
def reported(report: dict[str, Any], json_file: Path | None) -> Iterator[None]:
    """Write ``report`` to ``json_file``, if there is one, when the block ends, also with an InputError."""
    try:
        yield
    except InputError as error:
        report["error"] = str(error)
        raise
    finally:
        if json_file:
            write_json(json_file, report)


def show_values(notes: Sequence[str]) -> None:
    """What the values of masks and images mean."""
    for label, note in zip(["values", *[""] * len(notes)], notes, strict=False):
        show(label, note)


def show_folders(folder: Folder) -> None:
    """Where the images and the masks are."""
    show("images", folder.images)
    show("masks", folder.masks)


def matched(folder: Folder, report: dict[str, Any], divide: bool = True) -> list[Sample]:
    """The samples of the folders, in the order of the splits; prints and reports how they match.

    ``divide``: false to put all into the test set. Raises InputError as ``understand``.
    """
    understood = understand(folder, divide)
    report["matching"] = {key: value for key, value in vars(understood).items() if key != "pairs"}
    show("matched", replace(understood, notes=[]).line())
    for note in understood.notes:
        show("note", note)
    pairs = sorted(understood.pairs, key=lambda pair: SPLITS.index(pair.split))
    return [Sample(p.name, p.split, p.group, p.image, p.masks, trimap=False) for p in pairs]


def refuse_beside_images(folder: Folder, outputs: Sequence[Path]) -> None:
    """Refuse to write where a user's images and masks are: it would replace one, or be taken for one the next time."""
    for place in (folder.images, folder.masks):
        for path in outputs:
            if path.resolve().is_relative_to(user_path(place).resolve()):
                raise InputError(f"{brief(path)} is in {brief(place)}, which holds your images; write it elsewhere")
