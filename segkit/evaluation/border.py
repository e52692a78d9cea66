"""Two readings of the border of trimaps, counted together: as ``preprocess.border`` says, and ignored."""

import numpy as np
import torch
from torch import Tensor

from segkit.base.packed import BORDER, BORDER_BECOMES, IGNORED
from segkit.models.counts import count


class BorderCounts:
    """Counts ``int64 (N, 4)`` of images that are added one by one; ``border``: what the border becomes."""

    def __init__(self, border: str) -> None:
        self.has_border = False
        self._value = np.uint8(BORDER_BECOMES[border])
        self._inner: list[np.ndarray] = []
        self._edge: list[np.ndarray] = []

    def add(self, prediction: Tensor, labels: np.ndarray) -> None:
        """Count one image: ``bool (h, w)`` against ``uint8 (h, w)`` with 0, 1, 2 (border), 255."""
        edge = labels == BORDER
        self.has_border |= bool(edge.any())
        self._inner.append(_count(prediction, labels))
        self._edge.append(_count(prediction, np.where(edge, self._value, np.uint8(IGNORED))))

    @property
    def counts(self) -> np.ndarray:
        """With what the border becomes."""
        return self.no_border + np.array(self._edge)

    @property
    def no_border(self) -> np.ndarray:
        """With the border ignored."""
        return np.array(self._inner)


def _count(prediction: Tensor, labels: np.ndarray) -> np.ndarray:
    """Counts ``int64 (4,)``; of the labels, only 0 and 1 count."""
    return count(prediction[None], torch.from_numpy(labels)[None])[0].numpy()
