"""Smooth random fields, the stuff of cloth, hair, carpets and uneven light."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def noise(rng: np.random.Generator, height: int, width: int, cell_y: float, cell_x: float | None = None) -> Field:
    """A field ``(height, width)`` float32 within about -1..1 whose bumps are cell_y by cell_x pixels."""
    cell_x = cell_y if cell_x is None else cell_x
    rows, columns = max(2, round(height / max(cell_y, 1.0)) + 1), max(2, round(width / max(cell_x, 1.0)) + 1)
    coarse = Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8))
    fine = coarse if (rows, columns) == (height, width) else coarse.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(fine, dtype=np.float32) * np.float32(1 / 127.5) - np.float32(1)


def hair(rng: np.random.Generator, height: int, width: int, length: float) -> Field:
    """Streaks about ``length`` pixels long, upright or level by chance, as a field like ``noise``."""
    upright = rng.random() < 0.6
    thin = max(1.0, length * 0.28)
    along, across = (length, thin) if upright else (thin, length)
    return 0.6 * noise(rng, height, width, along, across) + 0.4 * noise(rng, height, width, length * 1.3)


def ramp(height: int, width: int, angle: float) -> Field:
    """A plane from about -1 to 1 across the image that rises in direction ``angle``."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
