"""The masks of the test set at their original sizes, as ``preprocess`` packed them."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segkit.base.errors import InputError, brief
from segkit.base.packed import MEND, ORIGINAL_MASKS


def read_original_masks(processed: Path, rows: Sequence[dict[str, Any]]) -> Iterator[np.ndarray]:
    """The masks ``uint8 (h, w)`` with 0, 1, 255 of some rows of ``samples.csv``, one after another.

    Raises InputError where the file is missing, damaged, or does not hold what the rows say.
    """
    path = processed / "test" / ORIGINAL_MASKS
    try:
        with zipfile.ZipFile(path) as archive:
            for row in rows:
                with Image.open(io.BytesIO(archive.read(f"{row['name']}.png")), formats=("PNG",)) as image:
                    if (image.mode, *image.size) != ("L", row["width"], row["height"]):
                        raise ValueError(f"{row['name']} is {image.mode} {image.width}x{image.height}")
                    yield np.array(image)  # a copy, which torch may take as it is
    except Exception as error:  # of a damaged file, zipfile and Pillow raise nearly anything
        raise InputError(f"{path} cannot be used ({brief(repr(error))}); {MEND}") from None
