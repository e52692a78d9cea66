"""A contact sheet for checking masks by eye: each is drawn on its image, the most suspicious first."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.files import atomic_write
from segkit.base.packed import FOREGROUND, IGNORED
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import UnusableFile
from segkit.dataset.pictures import Reading, read_pair, resolve_border
from segkit.figures.sheet import Tile, fit, sheet

IMAGES, COLUMNS, SIDE = 24, 6, 220
INSIDE, OUTLINE, VOID = (240, 228, 66), (213, 94, 0), (128, 128, 128)
TINT = 0.25
LEGEND = (("foreground", INSIDE), ("outline of the mask", OUTLINE), ("ignored", VOID))


def write_contact_sheet(path: Path, samples: list[Sample], suspects: dict[str, str], reading: Reading) -> int:
    """Draw ``suspects`` (name to reason), then samples spread evenly over the rest; returns how many were drawn."""
    named = {sample.name: sample for sample in samples}
    rest = [name for name in named if name not in suspects]
    free = max(0, IMAGES - len(suspects))
    evenly = np.unique(np.linspace(0, len(rest) - 1, min(free, len(rest))).round().astype(int)) if rest else []
    chosen = [*list(suspects)[:IMAGES], *(rest[index] for index in evenly)]
    tiles = list(_tiles([named[name] for name in chosen], suspects, reading))
    rows = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    if rows:
        with atomic_write(path) as file:
            sheet(rows, tile=SIDE, legend=LEGEND).save(file, format="PNG")
    return len(tiles)


def _tiles(samples: list[Sample], suspects: dict[str, str], reading: Reading) -> Iterator[Tile]:
    for sample in samples:
        try:
            image, labels = read_pair(sample, reading, (SIDE, SIDE))
            mask = resolve_border(labels, reading.border)
        except UnusableFile:
            continue
        caption = ": ".join(filter(None, [suspects.get(sample.name), sample.name]))
        yield Tile(outlined(image, mask, SIDE), caption)


def outlined(image: Image.Image, mask: np.ndarray, side: int) -> np.ndarray:
    """The image with a longer side of ``side`` pixels, its foreground tinted and outlined, ``uint8 (h, w, 3)``.

    ``mask`` ``uint8 (H, W)`` with 0, 1, 255 at any size. The outline also follows the edge of the image, where
    foreground touches it.
    """
    pixels = np.asarray(fit(np.asarray(image), side)).astype(np.float32)
    height, width = pixels.shape[:2]
    labels = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    foreground = labels == FOREGROUND
    for region, colour, opacity in ((foreground, INSIDE, TINT), (labels == IGNORED, VOID, 0.6)):
        pixels[region] = (1 - opacity) * pixels[region] + opacity * np.array(colour, np.float32)
    pixels[foreground & ~_shrunk(_shrunk(foreground))] = OUTLINE
    return pixels.round().astype(np.uint8)


def _shrunk(region: np.ndarray) -> np.ndarray:
    """Pixels of a region whose four neighbours are in it as well."""
    padded = np.pad(region, 1)
    neighbours = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    return region & np.logical_and.reduce(neighbours)
