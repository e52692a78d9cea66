"""What kind of errors a predicted mask has: in connected components, not in pixels.

Foreground is connected over edges and corners of pixels (8-connected), background over edges alone (4-connected), so
that a line of one pixel divides the background also where it runs diagonally (Rosenfeld 1970).
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from segkit.base.packed import BACKGROUND, FOREGROUND

EIGHT = np.ones((3, 3), bool)


class ErrorKinds(NamedTuple):
    """Counts of one image.

    ``objects``: components of the mask. ``missed``: those without any predicted pixel. ``false_alarms``: predicted
    components without any pixel of the mask's foreground. ``holes``: gaps of the prediction that lie in the mask's
    foreground and reach no edge of the image. ``fragments``: predicted components on an object beyond its first.
    """

    objects: int
    missed: int
    false_alarms: int
    holes: int
    fragments: int


def error_kinds(prediction: np.ndarray, mask: np.ndarray) -> ErrorKinds:
    """Compare ``bool (h, w)`` with ``uint8 (h, w)`` of 0, 1 and others, which are ignored.

    Ignored pixels connect a prediction, but are neither right nor wrong: a predicted component or a gap that has no
    other pixels does not count.
    """
    truth, background = mask == FOREGROUND, mask == BACKGROUND
    objects, number = ndimage.label(truth, EIGHT)
    parts, part_number = ndimage.label(prediction, EIGHT)
    pairs = np.unique(objects[truth & prediction].astype(np.int64) * (part_number + 1) + parts[truth & prediction])
    met = np.unique(pairs // (part_number + 1)).size
    return ErrorKinds(
        objects=number,
        missed=number - met,
        false_alarms=np.setdiff1d(parts[background & prediction], parts[truth & prediction]).size,
        holes=_holes(prediction, truth, background),
        fragments=pairs.size - met,
    )


def _holes(prediction: np.ndarray, truth: np.ndarray, background: np.ndarray) -> int:
    gaps, _ = ndimage.label(~prediction)  # 4-connected
    outside = np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1], gaps[background]])
    return np.setdiff1d(gaps[truth & ~prediction], outside).size
