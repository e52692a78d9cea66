"""Light on the finished scene, and the camera that takes the picture."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from segkit.sources.synthetic import difficulty
from segkit.sources.synthetic.coat import pick
from segkit.sources.synthetic.texture import Field, ramp

Generator = np.random.Generator
Pixels = NDArray[np.float32]

_KNEE = 195.0
_TILE = (640, 1792)
_TILE_SIDE = 512


def light(rng: Generator, height: int, width: int) -> Field:
    """Brightness ``(height, width)`` around 1: a gradient, and sometimes a shadow or a patch of sun."""
    strength = rng.uniform(0, difficulty.LIGHT_GRADIENT)
    field = 1 + np.float32(strength) * ramp(height, width, rng.uniform(0, 2 * np.pi))
    if rng.random() < difficulty.CAST_SHADOWS:
        side = min(height, width)
        mask = Image.new("L", (width, height))
        middle = rng.uniform(0, 1, 2) * (width, height)
        angle = rng.uniform(0, np.pi)
        along = np.array((np.cos(angle), np.sin(angle))) * (height + width)
        across = np.array((-np.sin(angle), np.cos(angle))) * (rng.uniform(0.1, 0.4) * side)
        band = np.array([-along - across, along - across, along + across, across - along]) + middle
        ImageDraw.Draw(mask).polygon(band.ravel().tolist(), 255)
        soft = np.asarray(mask.filter(ImageFilter.BoxBlur(0.015 * side)), dtype=np.float32)
        field += field * soft * np.float32(pick(rng, (-0.35, 0.3)) / 255)
    return field


def photograph(scene: Pixels, brightness: Field, rng: Generator) -> Image.Image:
    """The scene under a light as RGB, with the camera's exposure, colour cast, blur and noise.

    ``scene`` is ``(height, width, 3)`` in 0..255 and slightly above, ``brightness`` ``(height, width)`` around 1.
    """
    height, width = scene.shape[:2]
    gain = np.exp(rng.normal(0, difficulty.EXPOSURE) + rng.normal(0, difficulty.COLOUR_CAST, 3))
    lit = scene * (brightness[..., None] * gain.astype(np.float32))
    lit -= np.float32(0.62) * np.maximum(lit - np.float32(_KNEE), 0)  # bright parts roll off instead of clipping
    radius = rng.uniform(*difficulty.CAMERA_BLUR) / 100 * min(height, width)
    if radius > 0.25:
        lit = blurred(lit, radius)
    deviation = rng.uniform(*difficulty.CAMERA_NOISE)
    tint = _grain(rng, height, width * 3).reshape(height, width, 3)
    lit += np.float32(deviation) * (0.45 * tint + 0.8 * _grain(rng, height, width)[..., None])
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def blurred(scene: Pixels, radius: float) -> Pixels:
    """``scene`` clipped to 0..255 and blurred by a box as wide as a Gaussian of that radius."""
    image = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(1.6 * radius)), dtype=np.float32)


def _grain(rng: Generator, height: int, width: int) -> Field:
    """Standard normal noise; small images cut it at random from one large tile, as drawing it is slow."""
    if height > _TILE_SIDE or width > 3 * _TILE_SIDE:
        return rng.standard_normal((height, width), dtype=np.float32)
    top, left = rng.integers(_TILE[0] - height + 1), rng.integers(_TILE[1] - width + 1)
    return _tile()[top : top + height, left : left + width]


@cache
def _tile() -> Field:
    return np.random.Generator(np.random.Philox(1)).standard_normal(_TILE, dtype=np.float32)
