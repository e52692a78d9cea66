"""The masks of the test set at their original sizes, as ``preprocess`` packed them."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segkit.base.packed import ORIGINAL_MASKS


def read_original_masks(processed: Path, rows: Sequence[dict[str, Any]]) -> Iterator[np.ndarray]:
    """The masks ``uint8 (h, w)`` with 0, 1, 255 of some rows of ``samples.csv``, one after another."""
    with zipfile.ZipFile(processed / "test" / ORIGINAL_MASKS) as archive:
        for row in rows:
            with Image.open(io.BytesIO(archive.read(f"{row['name']}.png")), formats=("PNG",)) as image:
                yield np.array(image)  # a copy, which torch can take as it is
