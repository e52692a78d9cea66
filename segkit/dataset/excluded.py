"""Samples that ``data.exclude`` leaves out of the training and validation sets.

The file is a CSV list with the columns ``name`` and ``verdict``, and any others, as ``segkit audit`` writes it.
``keep`` changes nothing; ``drop``, and ``fix`` for a mask that has yet to be corrected, leave the sample out.
"""

import csv
import difflib
import io
from collections.abc import Sequence
from pathlib import Path

from segkit.base.errors import InputError, brief, few
from segkit.dataset.catalog import Sample

VERDICTS = ("keep", "fix", "drop")
LARGEST = 2**26  # bytes, a million lines


def read_verdicts(path: Path, key: str = "data.exclude") -> dict[str, str]:
    """The verdict of each name in the list; see ``read_list``."""
    return {row["name"]: row["verdict"] for row in read_list(path, key)}


def read_list(path: Path, key: str = "data.exclude") -> list[dict[str, str]]:
    """The lines of a list by column, verdicts in lower case; separated by commas or, as some spreadsheets do it, by
    semicolons. ``key``: the parameter or option that names the file, for messages.

    Raises InputError for a file that cannot be read, for a line without a name or with another verdict, for a name that
    is listed twice, and for a note in a column without a heading, or with that of another one.
    """
    try:
        if not path.is_file():
            raise OSError(0, "it is a folder" if path.is_dir() else "there is no such file")
        if path.stat().st_size > LARGEST:
            raise OSError(0, f"it is larger than {LARGEST:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(
            f"{key}: {brief(path, 300)} cannot be read: {reason}; a list begins with the line 'name,verdict'"
        ) from None
    return _checked(path, text, key)


def _checked(path: Path, text: str, key: str) -> list[dict[str, str]]:
    first = text.partition("\n")[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in first else ",", strict=True)
    try:
        headings = next(table, [])
        named = {heading: place for place, heading in enumerate(headings) if heading}
        if not {"name", "verdict"} <= named.keys():
            raise InputError(f"{key}: {path}: the first line must name the columns name and verdict")
        if twice := [heading for place, heading in enumerate(headings) if named.get(heading, place) != place]:
            raise InputError(f"{key}: {path}: two columns are named {brief(twice[0])}; rename one")
        rows: dict[str, dict[str, str]] = {}
        for cells in filter(None, table):
            row = {heading: cells[place] if place < len(cells) else "" for heading, place in named.items()}
            name, verdict = row["name"], row["verdict"].strip().lower()
            where = f"{key}: {path}, line {table.line_num}"
            if verdict not in VERDICTS:
                near = difflib.get_close_matches(verdict, VERDICTS, 1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                raise InputError(f"{where}: the verdict must be keep, fix or drop, not {brief(repr(verdict))}{meant}")
            if not name or name in rows:
                fault = f"{brief(name)} is listed twice" if name else "the name is missing"
                raise InputError(f"{where}: {fault}; each sample needs one line")
            if any(cell.strip() for place, cell in enumerate(cells) if place not in named.values()):
                raise InputError(f"{where}: there is a note in a column without a heading; add one to the first line")
            rows[name] = row | {"verdict": verdict}
    except csv.Error as error:
        raise InputError(f"{key}: {path}, line {table.line_num + 1}: {error}; fix the quotes there") from None
    return list(rows.values())


def without_excluded(samples: Sequence[Sample], path: Path | None) -> tuple[list[Sample], list[str]]:
    """The samples that stay, and the names of those that the list leaves out; without a path all stay.

    Raises InputError for a faulty list, for names that are not among the samples, and for a sample of the test set.
    """
    if path is None:
        return list(samples), []
    verdicts, known = read_verdicts(path), {sample.name: sample for sample in samples}
    if unknown := [name for name in verdicts if name not in known]:
        near = difflib.get_close_matches(unknown[0], known, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            f"data.exclude: {path} lists {few(unknown)}{meant}, which this data set does not have; correct these "
            "lines, or set data.exclude to the list that belongs to it"
        )
    left_out = [name for name, verdict in verdicts.items() if verdict != "keep"]
    if tested := [name for name in left_out if known[name].split == "test"]:
        raise InputError(
            f"data.exclude: {path} would leave out {few(tested)} of the test set, and scores would no longer be "
            "comparable; set the verdict to keep, and correct the mask if it is wrong"
        )
    gone = set(left_out)
    stay = [sample for sample in samples if sample.name not in gone]
    for split in {known[name].split for name in gone} - {sample.split for sample in stay}:
        raise InputError(f"data.exclude: {path} leaves out every sample of the {split} set; keep some")
    return stay, sorted(left_out)
