"""How much a prediction contradicts a mask, in one number an image.

The cross-entropy of a mask under the predicted probabilities, divided by its expectation if the probabilities were
right, which is their entropy (Cover and Thomas, "Elements of Information Theory", section 2.1). About 1 says that mask
and prediction differ as much as the network expects to be wrong: a hard image, on which it is unsure, is not suspicious
because it is hard. Several times that says that the network is sure of something else than the mask.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from segkit.base.packed import FOREGROUND, IGNORED

LOWEST = 1e-3  # probabilities are kept this far from 0 and 1: networks are too sure of themselves
SURE = 0.8  # probability of one class from which a pixel contradicts a label of the other
FLAGGED = 3.0


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
        return f"the mask lacks {self.missing:.0%} and covers {self.extra:.0%} of background"


def contradiction(probabilities: Tensor, mask: np.ndarray) -> Contradiction:
    """Compare foreground probabilities ``float32 (h, w)`` with a mask ``uint8 (h, w)`` of 0, 1, 255 (not counted)."""
    counted = mask != IGNORED
    p = probabilities.numpy().astype(np.float64)[counted].clip(LOWEST, 1 - LOWEST)
    foreground = mask[counted] == FOREGROUND
    if not p.size:
        return Contradiction(0.0, 0.0, 0.0)
    surprise = -np.log(np.where(foreground, p, 1 - p)).sum()
    expected = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    missing, extra = regions(p, foreground)
    object_area, mask_area = max((p >= 0.5).sum(), 1), max(foreground.sum(), 1)
    return Contradiction(
        float(surprise / expected), float(missing.sum() / object_area), float(extra.sum() / mask_area)
    )


def regions(probabilities: np.ndarray, foreground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the network is sure of foreground that the mask has not, and of background that the mask covers: two arrays
    of ``bool`` in the shape of ``foreground``."""
    return ~foreground & (probabilities >= SURE), foreground & (probabilities <= 1 - SURE)
