"""A packed split, image by image: one row of the arrays, or all windows of an image that was cut."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from segkit.base.packed import (
    BORDER,
    BORDER_BECOMES,
    ORIGINAL_MASKS,
    Split,
    open_split,
    read_samples,
    read_summary,
    verified,
)
from segkit.evaluation.stitching import Array, Row, at_original_size, blend, content, images_of, paste


@dataclass(frozen=True)
class ImageSet:
    """One split of the packed data in ``folder``.

    ``rows``: the lines of ``samples.csv`` of each image. ``border``: what the border of trimaps becomes. An image is
    scored at the network's input size, or at its original size if the data are ``tiled``.
    """

    folder: Path
    split: Split
    rows: list[list[Row]]
    tiled: bool
    border: str

    @classmethod
    def open(cls, processed: Path, name: str) -> "ImageSet":
        """Open the split ``name``; raises InputError if it is missing or damaged."""
        if name == "test":
            verified(processed, f"test/{ORIGINAL_MASKS}")
        split, rows, summary = open_split(processed, name), read_samples(processed, name), read_summary(processed)
        return cls(processed / name, split, images_of(rows), summary["resize"] == "tile", summary["border"])

    def __len__(self) -> int:
        return len(self.rows)

    def assemble(self, image: int, windows: Iterable[Tensor]) -> Tensor:
        """Probabilities ``float32`` of an image as it is scored, from those of its rows."""
        if self.tiled:
            return blend(windows, self.rows[image])
        (row,) = windows
        return row

    def mask(self, image: int) -> np.ndarray:
        """The mask of an image as it is scored, ``uint8``, padding ignored."""
        rows = self.rows[image]
        return paste(self.split.masks, rows) if self.tiled else self.split.masks[rows[0]["row"]]

    def picture(self, image: int) -> np.ndarray:
        """What the network sees of an image, ``uint8 (h, w, 3)``, without padding."""
        rows = self.rows[image]
        return paste(self.split.images, rows) if self.tiled else content(self.split.images[rows[0]["row"]], rows[0])

    def without_padding(self, image: int, pixels: Array) -> Array:
        """What ``assemble`` or ``mask`` returned, of the size of ``picture``."""
        return pixels if self.tiled else content(pixels, self.rows[image][0])

    def to_original_size(self, image: int, probabilities: Tensor) -> Tensor:
        """What ``assemble`` returned, without padding and resized bilinearly to ``float32 (height, width)``."""
        return probabilities if self.tiled else at_original_size([probabilities], self.rows[image], tiled=False)

    def original_masks(self, images: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Of the test set, the masks at their own sizes, ``uint8 (h, w)`` of 0, 1, 255: all, or those of ``images``."""
        for labels in self.original_labels(images):
            yield np.where(labels == BORDER, np.uint8(BORDER_BECOMES[self.border]), labels)

    def original_labels(self, images: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """The same, with 2 where a trimap has its border."""
        with zipfile.ZipFile(self.folder / ORIGINAL_MASKS) as archive:
            for image in range(len(self)) if images is None else images:
                name = self.rows[image][0]["name"]
                with Image.open(io.BytesIO(archive.read(f"{name}.png")), formats=("PNG",)) as mask:
                    yield np.array(mask)  # a copy, which torch can take as it is
