"""A prediction drawn on its image."""

import numpy as np
from PIL import Image, ImageFilter

# Sky blue of Okabe and Ito ("Color Universal Design", 2008), as in the images of the evaluation.
TINT = (86, 180, 233)
EDGE = 1 / 600  # of the longer side
STRIP = 64  # lines


def overlay(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """``image``, mode RGB, with the foreground of ``mask``, ``bool (h, w)``, tinted and its edge drawn; a new image."""
    drawn = image.copy()
    draw_overlay(drawn, mask)
    return drawn


def draw_overlay(image: Image.Image, mask: np.ndarray) -> None:
    """Do the same in place."""
    reach = max(1, round(max(image.size) * EDGE))
    for top in range(0, image.height, STRIP):  # a large image leaves no memory for several of its size
        above, bottom = max(0, top - reach), min(top + STRIP, image.height)
        filled = mask[above : bottom + reach] * np.uint8(255)
        inner = np.asarray(Image.fromarray(filled).filter(ImageFilter.BoxBlur(reach)))
        opacity = np.where(inner < 255, filled, filled // 2)[top - above : bottom - above]
        image.paste(TINT, (0, top, image.width, bottom), Image.fromarray(opacity))
