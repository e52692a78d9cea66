"""What a person compares: the mask drawn on its image, and where the held-out prediction contradicts it."""

import numpy as np
from PIL import Image
from scipy import ndimage
from torch import Tensor

from segkit.figures.sheet import fit
from segkit.reporting.audit.contradiction import regions

SIDE = 256  # pixels of the longer side
LINE = 2  # pixels
# Okabe and Ito, "Color Universal Design", 2008.
MASK, MISSING, EXTRA = (255, 255, 255), (86, 180, 233), (230, 159, 0)
TINT = 0.45


def panels(picture: np.ndarray, mask: np.ndarray, probabilities: Tensor) -> tuple[Image.Image, Image.Image]:
    """The image with its mask outlined; and the image with the outline of the contradicted regions, filled lightly.

    ``picture`` ``uint8 (h, w, 3)``, ``mask`` ``uint8 (h, w)``, ``probabilities`` ``float32 (h, w)``.
    """
    image = fit(picture, SIDE)
    labels = np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))
    resized = Image.fromarray(probabilities.numpy()).resize(image.size, Image.Resampling.BILINEAR)
    foreground = labels == 1
    missing, extra = regions(np.asarray(resized), foreground)
    plain, marked = (np.asarray(image).astype(np.float32) for _ in range(2))
    plain[~foreground] *= 1 - TINT
    plain[_edge(foreground)] = MASK
    for region, colour in ((missing, MISSING), (extra & (labels != 255), EXTRA)):
        marked[region] = (1 - TINT) * marked[region] + TINT * np.array(colour, np.float32)
        marked[_edge(region)] = colour
    return tuple(Image.fromarray(pixels.round().astype(np.uint8)) for pixels in (plain, marked))


def _edge(region: np.ndarray) -> np.ndarray:
    """The outermost pixels of a region; at the edge of the image, too."""
    return region & ~ndimage.binary_erosion(region, iterations=LINE)
