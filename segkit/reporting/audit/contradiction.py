"""How much a prediction and the image contradict a mask, in one number.

With probabilities p and a mask y, the soft Dice is (2 Σ p·y + s) / (Σ p + Σ y + s). If p were right, Σ p·y would be
Σ p² on average and Σ y be Σ p, so the network expects about (2 Σ p² + s) / (2 Σ p + s): near 1 if it is sure of every
pixel, less on an image that it finds hard. What is missing from that is about 0 for a right mask, whether the image is
easy or hard, and up to 1 if the network is sure of something else than the mask.

A network can be sure and wrong. So this shortfall d is weighted by how well the mask's outline follows edges of the
image (``segkit.reporting.audit.edges``): d exp(2 (1 - d) (1 - support)), at most 1. An outline by chance, with a
support of 1, leaves d as it is, a better one lowers it, and a worse one raises it. The outline counts less the larger d
is, because a mask in which foreground and background are swapped has the right outline.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from segkit.base.packed import FOREGROUND, IGNORED
from segkit.reporting.audit.edges import CHANCE, support

SMOOTHING = 0.01  # s, as a fraction of the pixels: without any foreground, soft Dice is 1
TRUST = 2.0  # in the image's edges
FLAGGED = 0.2
SURE = 0.8  # probability of one class from which a pixel contradicts a label of the other


@dataclass(frozen=True)
class Contradiction:
    """``score``: see above. ``missing``: of the predicted foreground, the fraction that the network is sure of and the
    mask has not. ``extra``: of the mask, the fraction of which the network is sure that it is background."""

    score: float
    missing: float
    extra: float

    @property
    def reading(self) -> str:
        """In words, how the mask differs."""
        if self.missing > 0.5 and self.extra > 0.5:
            return "mask and prediction have little in common"
        if max(self.missing, self.extra) < 0.05:
            return "small differences"
        if self.missing > 2 * self.extra:
            return f"the mask lacks {self.missing:.0%} of the object"
        if self.extra > 2 * self.missing:
            return f"{self.extra:.0%} of the mask is background"
        return f"the mask lacks {self.missing:.0%} of the object, and {self.extra:.0%} of it is background"


def contradiction(probabilities: Tensor, mask: np.ndarray, picture: np.ndarray) -> Contradiction:
    """Compare foreground probabilities ``float32 (h, w)`` and the picture ``uint8 (h, w, 3)`` with a mask
    ``uint8 (h, w)`` of 0, 1, 255 (not counted)."""
    counted = mask != IGNORED
    p = probabilities.numpy().astype(np.float64)[counted]
    foreground = mask[counted] == FOREGROUND
    if not p.size:
        return Contradiction(0.0, 0.0, 0.0)
    smoothing = SMOOTHING * p.size
    found = (2 * p[foreground].sum() + smoothing) / (p.sum() + foreground.sum() + smoothing)
    expected = (2 * (p * p).sum() + smoothing) / (2 * p.sum() + smoothing)
    missing, extra = regions(p, foreground)
    object_area, mask_area = max((p >= 0.5).sum(), 1), max(foreground.sum(), 1)
    shortfall = float(expected - found)
    weight = np.exp(TRUST * (1 - shortfall) * (CHANCE - support(mask == FOREGROUND, picture)))
    return Contradiction(
        min(float(shortfall * weight), 1.0), float(missing.sum() / object_area), float(extra.sum() / mask_area)
    )


def regions(probabilities: np.ndarray, foreground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the network is sure of foreground that the mask has not, and of background that the mask covers: two arrays
    of ``bool`` in the shape of ``foreground``."""
    return ~foreground & (probabilities >= SURE), foreground & (probabilities <= 1 - SURE)
