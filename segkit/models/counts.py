"""Pixel counts of predictions against masks: counted once per image, reduced later."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from segkit.base.packed import BACKGROUND, FOREGROUND

Array = TypeVar("Array", np.ndarray, Tensor)


def count(predictions: Tensor, masks: Tensor) -> Tensor:
    """Counts ``int64 (N, 4)`` of true positives, false positives, false negatives, true negatives per image.

    ``predictions`` ``bool (N, H, W)``, ``masks`` ``uint8 (N, H, W)`` with 0, 1 and 255 (left out), on one device.
    """
    foreground, background = masks == FOREGROUND, masks == BACKGROUND
    cells = (predictions & foreground, predictions & background, ~predictions & foreground, ~predictions & background)
    return torch.stack([cell.flatten(1).sum(1) for cell in cells], dim=1)


def nothing(counts: Array) -> Array:
    """The counts ``(N, 4)`` of the same masks if no pixel were predicted as foreground."""
    none = counts[:, 0] * 0
    return _stacked([none, none, counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 3]])


def everything(counts: Array) -> Array:
    """The counts ``(N, 4)`` of the same masks if every pixel were predicted as foreground."""
    none = counts[:, 0] * 0
    return _stacked([counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 3], none, none])


def dice_per_image(counts: Array) -> Array:
    """2TP / (2TP + FP + FN) of each row (Dice 1945); 1 if neither mask nor prediction has foreground."""
    return ratio(2 * counts[:, 0], 2 * counts[:, 0] + counts[:, 1] + counts[:, 2])


def ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, and 1 if both are 0: no foreground in either mask or prediction."""
    if isinstance(part, Tensor):
        return torch.where(whole > 0, part / whole.clamp(min=1), 1.0)
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def _stacked(columns: list[Array]) -> Array:
    return torch.stack(columns, 1) if isinstance(columns[0], Tensor) else np.stack(columns, 1)
