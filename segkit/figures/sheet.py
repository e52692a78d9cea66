"""Contact sheets: rows of images with captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP, FONT_SIZE = 6, 12
INK, PAPER = (32, 32, 32), (255, 255, 255)


@dataclass(frozen=True)
class Tile:
    """An image ``uint8 (H, W, 3)`` or ``(H, W)`` and the caption under it."""

    pixels: np.ndarray
    caption: str = ""


def sheet(
    rows: Sequence[Sequence[Tile]], *, tile: int = 160, title: str = "", legend: Sequence[tuple[str, tuple]] = ()
) -> Image.Image:
    """Lay out ``rows`` of tiles, each scaled to fit a square of ``tile`` pixels, under a title and a legend.

    ``legend``: names with their colours, shown as squares behind the title.
    """
    font, title_font = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(FONT_SIZE + 3)
    caption_height = FONT_SIZE + 6 if any(item.caption for row in rows for item in row) else 0
    images = [[fit(item.pixels, tile) for item in row] for row in rows]
    heights = [max(image.height for image in row) for row in images]
    upper = FONT_SIZE + 18 if title or legend else GAP
    width = GAP + max(len(row) for row in rows) * (tile + GAP)
    canvas = Image.new("RGB", (width, upper + sum(heights) + len(rows) * (caption_height + GAP)), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((GAP, 7), title, INK, title_font)
    left = GAP + (pen.textlength(title, title_font) + 3 * GAP if title else 0)
    for name, colour in legend:
        pen.rectangle((left, 9, left + FONT_SIZE, 9 + FONT_SIZE), colour, INK)
        pen.text((left + FONT_SIZE + GAP, 7), name, INK, title_font)
        left += FONT_SIZE + pen.textlength(name, title_font) + 4 * GAP
    for row, row_images, height in zip(rows, images, heights, strict=True):
        for column, (item, image) in enumerate(zip(row, row_images, strict=True)):
            left = GAP + column * (tile + GAP)
            # the captions of a row are on one line, directly under the images
            canvas.paste(image, (left, upper + height - image.height))
            pen.text((left + 1, upper + height + 1), _shorten(item.caption, font, tile), INK, font)
        upper += height + caption_height + GAP
    return canvas


def fit(pixels: np.ndarray, side: int) -> Image.Image:
    """``uint8 (H, W, 3)`` or ``(H, W)`` as RGB, scaled so that the longer side is ``side`` pixels."""
    image = Image.fromarray(pixels).convert("RGB")
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Masks keep their hard edges when enlarged.
    smooth = pixels.ndim == 3 or scale < 1
    return image.resize(size, Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST)


def mask_pixels(mask: np.ndarray) -> np.ndarray:
    """A mask ``uint8 (H, W)`` with 0, 1, 255 for display: black, white, and grey for ignored."""
    shades = np.zeros(256, np.uint8)
    shades[[1, 255]] = 255, 128
    return shades[mask]


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while text not in ("", "…") and font.getlength(text) > width:
        text = text[:-2].rstrip("…") + "…"
    return text
