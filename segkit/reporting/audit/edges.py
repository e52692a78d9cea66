"""Whether the outline of a mask follows edges of its image, which no network has a part in.

The gradient of an image (Sobel) is divided by its mean around each pixel, so that faint edges in dark or smooth parts
count as much as strong ones. A right outline lies on larger gradients than the image has on average; that of another
image's mask, or of one that is shifted, grown or cut, does not.
"""

import numpy as np
from scipy import ndimage

# Fractions of the longer side; of an image of 64 pixels 0.8, 6.4 and 1 pixels.
FINE, AROUND, TOLERANCE = 1 / 80, 1 / 10, 1 / 64
CHANCE = 1.0  # the support of an outline drawn anywhere
SHORTEST = 5  # pixels of an outline that says anything
FLOOR = 0.02  # of the mean gradient, so that noise in flat parts is no edge


def support(mask: np.ndarray, picture: np.ndarray) -> float:
    """The mean gradient along the outline of a mask ``bool (h, w)`` in a picture ``uint8 (h, w, 3)``, relative to the
    mean over the picture: 1 by chance, more for a right mask; 1 if the mask has no outline inside the image."""
    side = max(mask.shape)
    outline = mask & ~ndimage.binary_erosion(mask, border_value=1)
    outline[[0, -1]], outline[:, [0, -1]] = False, False
    if outline.sum() < SHORTEST:
        return CHANCE
    near = ndimage.maximum_filter(_gradient(picture, side), 2 * round(TOLERANCE * side) + 1)
    return float(near[outline].mean() / near.mean())


def _gradient(picture: np.ndarray, side: int) -> np.ndarray:
    """``float32 (h, w)``, over all channels, relative to the mean around each pixel."""
    smooth = ndimage.gaussian_filter(picture.astype(np.float32), (FINE * side, FINE * side, 0))
    gradient = np.sqrt(sum(ndimage.sobel(smooth, axis=axis) ** 2 for axis in (0, 1)).sum(axis=2))
    if not gradient.any():
        return np.ones_like(gradient)
    return gradient / (ndimage.gaussian_filter(gradient, AROUND * side) + FLOOR * gradient.mean())
