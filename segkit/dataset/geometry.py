"""How an image of any size becomes rows of the network's input size: ``preprocess.resize``.

``stretch``: one row, the whole image scaled to the input size. ``fit``: one row, the whole image scaled in proportion,
with padding on the right or below. ``tile``: windows of the input size at the image's own resolution, which overlap by
at least a quarter; an image smaller than a window is padded. Padding repeats the last row and column of the image, as
the networks' own padding does, and is ignored in the mask.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segkit.base.packed import IGNORED

OVERLAP = 1 / 4  # of a window's side


@dataclass(frozen=True)
class Window:
    """The box of the image that one row shows, in pixels of the image, and the part of the row that shows it."""

    top: int
    left: int
    bottom: int
    right: int
    content_height: int
    content_width: int


def windows(width: int, height: int, size: tuple[int, int], resize: str) -> list[Window]:
    """The rows of an image of ``width`` x ``height`` pixels; ``size``: height and width of a row."""
    if resize == "stretch":
        return [Window(0, 0, height, width, *size)]
    if resize == "fit":
        scale = min(size[0] / height, size[1] / width)
        content = (min(max(1, round(side * scale)), most) for side, most in zip((height, width), size, strict=True))
        return [Window(0, 0, height, width, *content)]
    tops, lefts = _starts(height, size[0]), _starts(width, size[1])
    sides = min(height, size[0]), min(width, size[1])
    return [Window(top, left, top + sides[0], left + sides[1], *sides) for top in tops for left in lefts]


def _starts(length: int, window: int) -> list[int]:
    """Where windows start so that they cover ``length`` pixels evenly."""
    step = window - int(window * OVERLAP)
    count = 1 + max(0, math.ceil((length - window) / step))
    return np.linspace(0, max(0, length - window), count).round().astype(int).tolist()


def rows(
    image: Image.Image, mask: np.ndarray, boxes: list[Window], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one image: ``uint8 (n, H, W, 3)`` and ``(n, H, W)``, for n ``boxes`` and ``size`` (H, W).

    ``image``: mode RGB, the whole image at any scale, if it is only one row, else at its own. ``mask``: ``uint8
    (h, w)`` of 0, 1, 255 at its own size. Images are scaled bilinearly, masks by nearest neighbour.
    """
    whole = len(boxes) == 1
    images = np.stack([image_row(image, box, size, whole) for box in boxes])
    return images, np.stack([_mask_row(mask, box, size, whole) for box in boxes])


def image_row(image: Image.Image, box: Window, size: tuple[int, int], whole: bool) -> np.ndarray:
    """One row of an image as ``rows`` makes it, ``uint8 (H, W, 3)``; ``whole``: it is the only one."""
    content = box.content_width, box.content_height
    if not whole:
        image = image.crop((box.left, box.top, box.right, box.bottom))
    elif image.size != content:
        image = image.resize(content, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return np.pad(pixels, [*_padding(pixels, size), (0, 0)], mode="edge")


def _mask_row(mask: np.ndarray, box: Window, size: tuple[int, int], whole: bool) -> np.ndarray:
    labels = mask[box.top : box.bottom, box.left : box.right]
    if whole:
        content = box.content_width, box.content_height
        labels = np.asarray(Image.fromarray(mask).resize(content, Image.Resampling.NEAREST))
    return np.pad(labels, _padding(labels, size), constant_values=IGNORED)


def _padding(pixels: np.ndarray, size: tuple[int, int]) -> list[tuple[int, int]]:
    return [(0, length - part) for length, part in zip(size, pixels.shape[:2], strict=True)]
