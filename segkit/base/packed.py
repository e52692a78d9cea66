"""Read the packed data set: ``uint8`` arrays on disk, one pair per split, and what is known about them.

``data/processed/{train,valid,test}/images.npy`` ``uint8 (N, H, W, 3)``, ``masks.npy`` ``uint8 (N, H, W)`` with 0
background, 1 foreground, 255 ignored; ``test/original_masks.zip``, the test masks at their own sizes (``NAME.png``);
``samples.csv``; ``summary.json``. The format is fixed, so that reading it can change no result.
"""

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from segkit.base.errors import InputError, brief
from segkit.base.files import csv_rows, read_json

BACKGROUND, FOREGROUND, IGNORED = 0, 1, 255  # what the values of a packed mask mean
ORIGINAL_MASKS = "original_masks.zip"

MEND = "run 'dvc repro preprocess' or 'dvc pull'"
SAMPLE_COLUMNS = ("split", "row", "name", "group", "width", "height")


class Rows:
    """One ``.npy`` file of ``uint8``, read row by row and not mapped.

    A map would count every page it has touched as resident memory, and end the process by a signal where the disk
    fails; here memory stays flat, and a fault is an OSError. Several threads may read at once.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 (stays open as long as the rows are read)
        version = npy.read_magic(self._file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, fortran, self.dtype = read_header(self._file)
        self._start = self._file.tell()
        if self.dtype != np.uint8 or fortran or len(self.shape) < 2:
            raise ValueError(f"holds {self.dtype}, not rows of uint8")
        missing = self._start + math.prod(self.shape) - path.stat().st_size
        if missing > 0:
            raise ValueError(f"{missing:,} bytes are missing at its end")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """A row, or a copy of several, as of an array."""
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
    """Open one split; raises InputError where a file is missing or is no such array."""
    images, masks = (_open(processed / split / f"{kind}.npy") for kind in ("images", "masks"))
    if images.shape != (*masks.shape, 3):
        shapes = f"images {images.shape} and masks {masks.shape}"
        raise InputError(f"{processed / split}: {shapes} do not belong together; {MEND}")
    return Split(images, masks)


def read_samples(processed: Path, split: str) -> list[dict[str, Any]]:
    """The rows of ``samples.csv`` of one split, in row order; ``row``, ``width``, ``height`` as int.

    Raises InputError where it does not list what the split's arrays hold.
    """
    path, count = processed / "samples.csv", len(open_split(processed, split))
    try:
        rows = [row for row in csv_rows(path) if row["split"] == split]
        rows = [row | {key: int(row[key]) for key in ("row", "width", "height")} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{path} cannot be used ({brief(repr(error))}); {MEND}") from None
    if [row["row"] for row in rows] != list(range(count)):
        raise InputError(f"{path} does not list the {count:,} samples of {split}; {MEND}")
    return rows


def read_summary(processed: Path) -> dict[str, Any]:
    """``summary.json``; raises InputError where it is missing or damaged."""
    path = processed / "summary.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; run 'dvc repro preprocess', or fetch it with 'dvc pull'")
    try:
        summary = read_json(path)
        for key in ("size", "border", "normalize"):  # what is not there is a KeyError, which names it
            summary[key]
        for split in ("train", "valid", "test"):
            for key in ("images", "images_sha256", "masks_sha256"):
                summary["splits"][split][key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be used ({brief(repr(error))}); {MEND}") from None
    return summary


def _open(path: Path) -> Rows:
    try:
        return Rows(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be opened ({brief(error)}); {MEND}") from None
