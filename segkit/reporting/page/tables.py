"""CSV files that the stages wrote, as columns of numbers."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from segkit.base.errors import InputError, brief, few

AGAIN = "run 'dvc repro' or 'dvc pull'"
COUNTS = ("tp", "fp", "fn", "tn")
ORIGINAL_COUNTS = tuple(f"{column}_original" for column in COUNTS)
Columns = dict[str, np.ndarray]


def existing(path: Path) -> Path:
    """``path``; raises InputError if there is no such file."""
    if not path.is_file():
        raise InputError(f"{path} is missing; {AGAIN}")
    return path


def counts(columns: Columns, names: Iterable[str] = COUNTS) -> np.ndarray:
    """``int64 (N, 4)``: true and false positives, false and true negatives of each image."""
    return np.stack([columns[name] for name in names], axis=1).astype(np.int64)


def read_columns(path: Path, numbers: Iterable[str], texts: Iterable[str] = (), blank: Iterable[str] = ()) -> Columns:
    """Columns of ``path`` by name: ``float64 (N,)``, or ``object (N,)`` for ``texts``.

    Other columns are left out. In those of ``numbers`` that are also in ``blank`` an empty cell is NaN. Raises
    InputError for a file that is missing or empty, lacks a column, or has a line that is cut or holds something else
    than finite numbers.
    """
    numbers, texts, blank = tuple(numbers), tuple(texts), frozenset(blank)
    try:
        with open(existing(path), encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in (*texts, *numbers) if name not in (reader.fieldnames or ())]:
                raise InputError(f"{path} has no column {few(missing)}; {AGAIN}")
            rows = [_row(f"{path}, line {reader.line_num}", row, numbers, texts, blank) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file ({brief(error)}); {AGAIN}") from None
    if not rows:
        raise InputError(f"{path} has no rows; {AGAIN}")
    columns = dict(zip((*texts, *numbers), zip(*rows, strict=True), strict=True))
    return {name: np.array(column, object if name in texts else float) for name, column in columns.items()}


def _row(
    place: str, row: dict, numbers: tuple[str, ...], texts: tuple[str, ...], blank: frozenset[str]
) -> list[str | float]:
    if None in row or None in row.values():
        raise InputError(f"{place}: not as many values as there are columns; {AGAIN}")
    try:
        values = {name: float(row[name]) for name in numbers if row[name] or name not in blank}
    except ValueError as error:
        raise InputError(f"{place}: {brief(error)}; {AGAIN}") from None
    if not np.isfinite(list(values.values())).all():
        raise InputError(f"{place}: a number that is not finite; {AGAIN}")
    return [*(row[name] for name in texts), *(values.get(name, np.nan) for name in numbers)]
