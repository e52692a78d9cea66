"""Whole images from the rows that show them: cropped and resized, or stitched from overlapping windows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.models.predictor import to_size

Row = dict[str, Any]  # of samples.csv


@dataclass
class WholeImage:
    """One image: its rows of ``samples.csv``, and for each of the n rows the probabilities ``float32 (H, W)``, the mask
    ``uint8 (H, W)`` and the counts ``int64 (4,)``, on the CPU."""

    rows: list[Row] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)
    masks: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        """Whether it was cut into windows."""
        return len(self.rows) > 1

    def original_probabilities(self) -> Tensor:
        """The probabilities at the image's own size, ``float32 (h, w)``."""
        return original_size(self.rows, self.probabilities)

    def stitched_mask(self) -> Tensor:
        """The packed mask of an image that was cut, ``uint8 (h, w)``."""
        return torch.from_numpy(paste(self.rows, [mask.numpy() for mask in self.masks]))


def image_slices(rows: list[Row]) -> list[slice]:
    """The rows of each image; those of one image follow one another."""
    lengths = (len(list(same)) for _, same in groupby(rows, key=lambda row: row["name"]))
    starts = np.cumsum([0, *lengths]).tolist()
    return [slice(*ends) for ends in pairwise(starts)]


def whole_images(rows: list[Row], predicted: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Iterator[WholeImage]:
    """Images in order, as soon as their last row is there. ``predicted``: probabilities, masks and counts of one batch
    of rows after another. At most one image is held besides a batch."""
    lengths = iter([chosen.stop - chosen.start for chosen in image_slices(rows)])
    remaining, image, position = next(lengths, 0), WholeImage(), iter(rows)
    for batch in predicted:
        for probabilities, mask, counts in zip(*batch, strict=True):
            image.rows.append(next(position))
            image.probabilities.append(probabilities)
            image.masks.append(mask)
            image.counts.append(counts)
            remaining -= 1
            if not remaining:
                yield image
                remaining, image = next(lengths, 0), WholeImage()


def original_size(rows: list[Row], probabilities: Iterable[Tensor]) -> Tensor:
    """Probabilities ``float32 (H, W)`` of an image's rows as ``float32 (h, w)`` at its own size.

    One row is cropped to its content and resized bilinearly. Windows are averaged where they overlap, with weights that
    fall linearly from a window's centre to its sides, where a network sees the least around a pixel.
    """
    if len(rows) == 1:
        (row,), (values,) = rows, probabilities
        return to_size(values[: row["content_height"], : row["content_width"]], row["height"], row["width"])
    total, weights = (torch.zeros(rows[0]["height"], rows[0]["width"]) for _ in range(2))
    for row, values in zip(rows, probabilities, strict=True):
        box, content = _box(row), values[: row["content_height"], : row["content_width"]]
        weight = _tent(content.shape[0])[:, None] * _tent(content.shape[1])
        total[box] += weight * content
        weights[box] += weight
    return total / weights


def paste(rows: list[Row], values: Iterable[np.ndarray]) -> np.ndarray:
    """Pixels ``uint8 (H, W, ...)`` of an image's rows, without padding; windows put together at the image's size."""
    contents = [value[: row["content_height"], : row["content_width"]] for row, value in zip(rows, values, strict=True)]
    if len(rows) == 1:
        return contents[0]
    whole = np.empty((rows[0]["height"], rows[0]["width"], *contents[0].shape[2:]), np.uint8)
    for row, content in zip(rows, contents, strict=True):
        whole[_box(row)] = content
    return whole


def _box(row: Row) -> tuple[slice, slice]:
    return slice(row["top"], row["bottom"]), slice(row["left"], row["right"])


def _tent(length: int) -> Tensor:
    """Weights ``float32 (length,)`` from near 0 at both ends to 1 in the middle."""
    steps = torch.arange(1, length + 1)
    return torch.minimum(steps, steps.flip(0)) / ((length + 1) // 2)
