"""Small pictures for people: tiles with captions, laid out in rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 6
INK, PAPER = (32, 32, 32), (255, 255, 255)


@dataclass(frozen=True)
class Tile:
    """A picture of ``uint8 (H, W, 3)`` or ``(H, W)`` and the caption under it."""

    pixels: np.ndarray
    caption: str = ""


def sheet(rows: Sequence[Sequence[Tile]], *, tile: int = 160, title: str = "", font_size: int = 12) -> Image.Image:
    """Lay out ``rows`` of tiles, each scaled to fit a square of ``tile`` pixels, under an optional title."""
    font, title_font = ImageFont.load_default(font_size), ImageFont.load_default(font_size + 3)
    caption_height = font_size + 6 if any(item.caption for row in rows for item in row) else 0
    top = font_size + 18 if title else GAP
    cell_width, cell_height = tile + GAP, tile + caption_height + GAP
    columns = max(len(row) for row in rows)
    canvas = Image.new("RGB", (GAP + columns * cell_width, top + len(rows) * cell_height), PAPER)
    pen = ImageDraw.Draw(canvas)
    if title:
        pen.text((GAP, 7), title, INK, title_font)
    for y, row in enumerate(rows):
        for x, item in enumerate(row):
            left, upper = GAP + x * cell_width, top + y * cell_height
            image = fit(item.pixels, tile)
            canvas.paste(image, (left + (tile - image.width) // 2, upper + (tile - image.height) // 2))
            pen.text((left + 1, upper + tile + 1), _shorten(item.caption, font, tile), INK, font)
    return canvas


def fit(pixels: np.ndarray, side: int) -> Image.Image:
    """``uint8 (H, W, 3)`` or ``(H, W)`` as RGB, scaled so that the longer side is ``side`` pixels."""
    image = Image.fromarray(pixels).convert("RGB")
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Two-valued pictures keep their hard edges when enlarged.
    smooth = pixels.ndim == 3 or scale < 1
    return image.resize(size, Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST)


def mask_pixels(mask: np.ndarray) -> np.ndarray:
    """A mask ``uint8 (H, W)`` with 0, 1, 255 as something to look at: black, white, and grey for ignored."""
    shades = np.zeros(256, np.uint8)
    shades[[1, 255]] = 255, 128
    return shades[mask]


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip("…") + "…"
    return text
