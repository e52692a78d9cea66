"""Shapes turned into lit and textured pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from segkit.sources.synthetic import difficulty
from segkit.sources.synthetic.coat import Coat
from segkit.sources.synthetic.shapes import Canvas, Shape
from segkit.sources.synthetic.texture import Field, hair, noise

Generator = np.random.Generator
Pixels = NDArray[np.float32]

_FINE_SIDE = 512
"""Images with a longer side than this are supersampled less, as their edges are fine enough."""


def render(shapes: list[Shape], rng: Generator, height: int, width: int, coat: Coat | None) -> tuple[Pixels, Field]:
    """Draw shapes given in pixels; ``coat`` is the animal's, None for a thing.

    Returns (colours, alpha): float32 ``(height, width, 3)`` in 0..255 premultiplied by alpha, and float32
    ``(height, width)`` in 0..1.
    """
    fine = 3 if coat is not None else 2
    canvas = Canvas(width, height, scale=fine if max(height, width) <= _FINE_SIDE else fine - 1)
    canvas.draw(shapes)
    relief, ink, fur, cover = canvas.layers()
    pixels = canvas.paint()
    side = min(height, width)
    hairy = np.asarray(fur, dtype=np.float32) * np.float32(1 / 255)
    if coat is not None and coat.pattern == "patches":
        pixels = _patched(pixels, hairy, coat, rng)
    tone = _relief_shading(relief, rng, side)
    strands = hair(rng, height, width, side * rng.uniform(0.035, 0.07))
    tone *= 1 + np.float32(difficulty.FUR_TEXTURE) * hairy * strands
    soft_ink = np.asarray(ink.filter(ImageFilter.BoxBlur(side * 0.006)), dtype=np.float32)
    tone *= 1 - np.float32(difficulty.OUTLINE) * np.minimum(soft_ink * np.float32(1.25 / 255), 1)
    return pixels * tone[..., None], np.asarray(cover, dtype=np.float32) * np.float32(1 / 255)


def _patched(pixels: Pixels, hairy: Field, coat: Coat, rng: Generator) -> Pixels:
    """Large irregular patches of the dark colour on the base colour."""
    height, width = hairy.shape
    side = min(height, width)
    field = noise(rng, height, width, side * rng.uniform(0.14, 0.26)) + 0.25 * noise(rng, height, width, side * 0.05)
    share = np.clip((field - np.float32(rng.uniform(0.0, 0.3))) * 8, 0, 1) * hairy
    # A part's own tone, relative to the base colour, survives under the patch.
    own = pixels.sum(axis=-1) / np.float32(max(sum(coat.base), 1))
    dark = np.array(coat.dark, dtype=np.float32) * own[..., None]
    return pixels + share[..., None] * (dark - pixels)


def _relief_shading(relief: Image.Image, rng: Generator, side: int) -> Field:
    """Light on the sides that face the lamp, shade on the others; computed at half size, as it is smooth."""
    radius = side * 0.013
    half = relief.reduce(2).filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius))
    slope_y, slope_x = np.gradient(np.asarray(half, dtype=np.float32))
    angle = rng.uniform(-2.4, -0.7)  # from above
    slope = slope_x * np.float32(np.cos(angle)) + slope_y * np.float32(np.sin(angle))
    tone = np.clip(1 - np.float32(difficulty.RELIEF * 0.05 * side / 255) * slope, 0.6, 1.32)
    return np.array(Image.fromarray(tone).resize(relief.size, Image.Resampling.BILINEAR))
