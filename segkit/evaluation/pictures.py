"""Images of predictions: true positives, false positives and false negatives in colour.

Colours of Okabe and Ito ("Color Universal Design", 2008), which people with any common colour blindness can tell
apart, blended with the greyscale image.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.files import atomic_write
from segkit.base.packed import BACKGROUND, FOREGROUND
from segkit.figures.sheet import Tile, fit, mask_pixels, sheet

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = (86, 180, 233), (213, 94, 0), (240, 228, 66)
LEGEND = (("true positive", TRUE_POSITIVE), ("false positive", FALSE_POSITIVE), ("false negative", FALSE_NEGATIVE))
OPACITY = 0.65
SIDE, OVERVIEW_SIDE = 240, 160


def overlay(picture: np.ndarray, mask: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """True positives, false positives and false negatives over the greyscale image, ``uint8 (h, w, 3)``.

    ``picture`` ``uint8 (h, w, 3)``, ``mask`` ``uint8 (h, w)`` with 0, 1, 255 (left uncoloured), ``prediction``
    ``bool (h, w)``.
    """
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    pixels = np.repeat(grey[..., None], 3, axis=2)
    shades = np.arange(256, dtype=np.float32)[:, None]
    truth, background = mask == FOREGROUND, mask == BACKGROUND
    for region, colour in (
        (truth & prediction, TRUE_POSITIVE),
        (background & prediction, FALSE_POSITIVE),
        (truth & ~prediction, FALSE_NEGATIVE),
    ):
        blended = (1 - OPACITY) * shades + OPACITY * np.array(colour, dtype=np.float32)
        pixels[region] = blended.round().astype(np.uint8)[grey[region]]
    return pixels


def write_picture(
    path: Path, picture: np.ndarray, mask: np.ndarray, prediction: np.ndarray, name: str, dice: float
) -> tuple[Tile, Tile]:
    """One PNG: input, mask and overlay, with name and Dice; returns small tiles of input and overlay for the overview.

    ``picture`` ``uint8 (H, W, 3)`` is the network's input; it is drawn at the size of ``mask`` and ``prediction``.
    """
    height, width = mask.shape
    seen = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
    result = Tile(overlay(seen, mask, prediction), f"Dice {dice:.3f}")
    tiles = [Tile(seen, "input"), Tile(mask_pixels(mask), "mask"), result]
    _save(path, sheet([tiles], tile=SIDE, title=name, legend=LEGEND))
    return _small(Tile(seen, name)), _small(result)


def write_overview(path: Path, pairs: list[tuple[Tile, Tile]]) -> None:
    """All pairs of input and overlay on one PNG, three pairs per row."""
    rows = [[tile for pair in pairs[start : start + 3] for tile in pair] for start in range(0, len(pairs), 3)]
    _save(path, sheet(rows, tile=OVERVIEW_SIDE, legend=LEGEND))


def _small(tile: Tile) -> Tile:
    return Tile(np.asarray(fit(tile.pixels, OVERVIEW_SIDE)), tile.caption)


def _save(path: Path, image: Image.Image) -> None:
    with atomic_write(path) as file:
        image.save(file, format="PNG")
