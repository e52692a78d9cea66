"""A prediction drawn on its image."""

import numpy as np
from PIL import Image, ImageFilter

# Sky blue of Okabe and Ito ("Color Universal Design", 2008), as in the images of the evaluation.
TINT, OPACITY = (86, 180, 233), 0.5


def overlay(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """``image``, mode RGB, with the foreground of ``mask``, ``bool (h, w)``, tinted and its edge drawn; a new image."""
    drawn = image.copy()
    drawn.paste(TINT, mask=Image.fromarray(mask * np.uint8(255 * OPACITY)))
    filled = Image.fromarray(mask * np.uint8(255))
    width = 2 * max(1, round(max(image.size) / 600)) + 1
    inner = np.asarray(filled.filter(ImageFilter.MinFilter(width)))
    drawn.paste(TINT, mask=Image.fromarray(np.asarray(filled) - inner))
    return drawn
