"""The packed data set: ``uint8`` memory maps, one pair per split, and what is known about them.

``data/processed/{train,valid,test}/images.npy`` ``uint8 (N, H, W, 3)``, ``masks.npy`` ``uint8 (N, H, W)`` with 0
background, 1 foreground, 255 ignored; ``samples.csv``; ``summary.json``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import InputError
from segkit.files import read_csv, read_json

SAMPLE_COLUMNS = ("split", "row", "name", "group", "width", "height")


@dataclass(frozen=True)
class Split:
    """One split: ``images`` ``uint8 (N, H, W, 3)`` and ``masks`` ``uint8 (N, H, W)``, read-only maps."""

    images: np.ndarray
    masks: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def open_split(processed: Path, split: str) -> Split:
    """Map one split; raises InputError where a file is missing or is no such array."""
    return Split(_open(processed / split / "images.npy"), _open(processed / split / "masks.npy"))


def read_samples(processed: Path, split: str) -> list[dict[str, Any]]:
    """The rows of ``samples.csv`` of one split, in row order; ``row``, ``width``, ``height`` as int."""
    rows = [row for row in read_csv(processed / "samples.csv") if row["split"] == split]
    return [row | {key: int(row[key]) for key in ("row", "width", "height")} for row in rows]


def read_summary(processed: Path) -> dict[str, Any]:
    """``summary.json``; raises InputError where it is missing."""
    path = processed / "summary.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; run 'dvc repro preprocess', or fetch it with 'dvc pull'")
    return read_json(path)


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be opened ({error}); run 'dvc repro preprocess' or 'dvc pull'") from None
