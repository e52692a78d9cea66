"""Read the packed data set: ``uint8`` arrays on disk, one pair per split, and their metadata.

``data/processed/{train,valid,test}/images.npy`` ``uint8 (N, H, W, 3)``, ``masks.npy`` ``uint8 (N, H, W)`` with 0
background, 1 foreground, 255 ignored; ``test/original_masks.zip``, the test masks at their own sizes (``NAME.png``), in
which 2 is the border of trimaps; ``samples.csv``; ``summary.json``, which holds the SHA-256 of each of these files and
of itself. A file is compared with it before it is used, so nothing else about its content needs checking. The format is
fixed, so reading it cannot change a result.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from segkit.base.errors import InputError
from segkit.base.files import csv_rows, digest, read_json

BACKGROUND, FOREGROUND, IGNORED = 0, 1, 255  # values of a packed mask
BORDER = 2  # in original_masks.zip; elsewhere it has become what preprocess.border says
BORDER_BECOMES = {"foreground": FOREGROUND, "background": BACKGROUND, "ignore": IGNORED}
ORIGINAL_MASKS = "original_masks.zip"

FIX = "run 'dvc repro' or 'dvc pull'; if that does not help, see docs/how-to/troubleshooting.md"
# One line per row. The row shows the box top, left, bottom, right of an image of width x height pixels, in its own
# upper left content_height x content_width pixels; the rest is padding, which is ignored in the mask. An image that
# was cut into windows has several rows, one after another.
SAMPLE_COLUMNS = (
    *("split", "row", "name", "group", "width", "height"),
    *("top", "left", "bottom", "right", "content_height", "content_width"),
)
NUMBERS = frozenset(SAMPLE_COLUMNS) - {"split", "name", "group"}


class Rows:
    """One ``.npy`` file of ``uint8``, read row by row and not mapped.

    A memory map counts every page that was touched as resident memory, and kills the process when the disk fails. With
    reads, memory use is constant, and a disk error is an OSError. Several threads may read at once.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 (stays open as long as the rows are read)
        npy.read_magic(self._file)
        self.shape, _, self.dtype = npy.read_array_header_1_0(self._file)
        self._start = self._file.tell()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """A row, or a copy of several, as with an array."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        chosen = np.atleast_1d(rows)
        values = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for value, row in zip(values, chosen.tolist(), strict=True):
            if not 0 <= row < len(self):
                raise IndexError(f"{self._file.name}: there is no row {row} of {len(self)}")
            self._read(value, row)
        return values if np.ndim(rows) else values[0]

    def _read(self, value: np.ndarray, row: int) -> None:
        if os.preadv(self._file.fileno(), [value], self._start + row * value.nbytes) != value.nbytes:
            raise OSError(f"{self._file.name}: row {row} ends early; the file was cut while it was read")


@dataclass(frozen=True)
class Split:
    """One split: ``images`` ``uint8 (N, H, W, 3)`` and ``masks`` ``uint8 (N, H, W)``, on disk or as arrays."""

    images: Rows | np.ndarray
    masks: Rows | np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def open_split(processed: Path, split: str) -> Split:
    """Open one split; raises InputError if a file is missing or not the one that was packed."""
    paths = [verified(processed, f"{split}/{kind}.npy") for kind in ("images", "masks")]
    return Split(*map(Rows, paths))


def read_samples(processed: Path, split: str) -> list[dict[str, Any]]:
    """The rows of ``samples.csv`` of one split, in row order, numbers as int.

    Raises InputError if the file is missing or not the one that was packed.
    """
    rows = [row for row in csv_rows(verified(processed, "samples.csv")) if row["split"] == split]
    return [row | {key: int(row[key]) for key in NUMBERS} for row in rows]


def read_summary(processed: Path) -> dict[str, Any]:
    """``summary.json``; raises InputError if it is missing or damaged."""
    path = processed / "summary.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; {FIX}")
    summary = read_json(path)
    if (
        not isinstance(summary, dict)
        or summary.pop("sha256", None) != summary_digest(summary)
        or not {"files", "resize"} <= summary.keys()
    ):
        raise InputError(f"{path} is damaged, or from another version of segkit; {FIX}")
    return summary


def summary_digest(summary: dict[str, Any]) -> str:
    """SHA-256 of a summary without its own digest."""
    return hashlib.sha256(json.dumps(summary, sort_keys=True).encode()).hexdigest()


def verified(processed: Path, name: str) -> Path:
    """The path of a packed file; raises InputError unless its SHA-256 is the one in ``summary.json``."""
    path, expected = processed / name, read_summary(processed)["files"].get(name)
    if not path.is_file():  # opening a named pipe would block
        raise InputError(f"{path} is missing or not a file; {FIX}")
    if digest(path) != expected:
        raise InputError(f"{path} is damaged, or does not belong to this summary.json; {FIX}")
    return path
