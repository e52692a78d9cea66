"""Put the windows of an image together again, at its original size.

``rows`` are an image's lines of ``samples.csv`` (see ``segkit.base.packed``): each has a box of the image, and a
content of the same size in the upper left corner of a window.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from segkit.base.packed import Rows
from segkit.models.predictor import to_size

Row = dict[str, Any]
Array = TypeVar("Array", np.ndarray, Tensor)


def images_of(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each image: those of one name, which follow one another."""
    return [list(image) for _, image in groupby(rows, key=itemgetter("name"))]


def paste(packed: Rows | np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    """The pixels of an image, ``uint8 (h, w)`` or ``(h, w, 3)``, from its rows of a packed array."""
    canvas = np.zeros((rows[0]["height"], rows[0]["width"], *packed.shape[3:]), np.uint8)
    for row in rows:
        canvas[_box(row)] = content(packed[row["row"]], row)
    return canvas


def blend(windows: Iterable[Tensor], rows: Sequence[Row]) -> Tensor:
    """Probabilities ``float32 (h, w)`` of an image, from those of its windows, ``float32 (H, W)`` each, in order.

    Where windows overlap, the result is their weighted mean. A weight is the product of a triangle over the window's
    height and one over its width: 1 at the edge, where a network sees least of the surroundings, and n / 2 in the
    middle of n pixels. The mean is updated window by window, so that a pixel seen once, or seen alike by all windows,
    keeps its exact value. Beside the result, only the weights of as many lines as a window has are kept.
    """
    mean = torch.zeros(rows[0]["height"], rows[0]["width"])
    total, start = torch.zeros(rows[0]["content_height"], rows[0]["width"]), 0
    for row, window in zip(rows, windows, strict=True):
        if row["top"] > start:  # rows are sorted by it, so nothing above it changes any more
            total = torch.cat([total[row["top"] - start :], torch.zeros(row["top"] - start, total.shape[1])])
            start = row["top"]
        box = lines, columns = _box(row)
        weight = _triangle(row["content_height"])[:, None] * _triangle(row["content_width"])
        seen = total[lines.start - start : lines.stop - start, columns].add_(weight)
        mean[box].lerp_(content(window, row), weight / seen)
    return mean


def at_original_size(windows: Iterable[Tensor], rows: Sequence[Row], tiled: bool) -> Tensor:
    """Probabilities ``float32 (h, w)`` of an image, from those of its rows: blended if it is ``tiled``, else without
    padding and resized bilinearly."""
    if tiled:
        return blend(windows, rows)
    (window,) = windows
    return to_size(content(window, rows[0]), rows[0]["height"], rows[0]["width"])


def content(window: Array, row: Row) -> Array:
    """A window ``(H, W, ...)`` without its padding."""
    return window[: row["content_height"], : row["content_width"]]


def _box(row: Row) -> tuple[slice, slice]:
    return slice(row["top"], row["bottom"]), slice(row["left"], row["right"])


def _triangle(size: int) -> Tensor:
    """1, 2, … in the middle …, 2, 1: ``float32 (size,)``."""
    ramp = torch.arange(1.0, size + 1)
    return torch.minimum(ramp, ramp.flip(0))
