"""Pixel counts of predictions against masks: counted once per image, reduced later."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from segkit.base.packed import BACKGROUND, FOREGROUND

Array = TypeVar("Array", np.ndarray, Tensor)


def count(predictions: Tensor, masks: Tensor) -> Tensor:
    """Counts ``int64 (N, 4)`` of true positives, false positives, false negatives, true negatives per image.

    ``predictions`` ``bool (N, H, W)``, ``masks`` ``uint8 (N, H, W)`` with 0, 1 and others (left out), on one device.
    """
    foreground, background = masks == FOREGROUND, masks == BACKGROUND
    cells = (predictions & foreground, predictions & background, ~predictions & foreground, ~predictions & background)
    return torch.stack([cell.flatten(1).sum(1) for cell in cells], dim=1)


def dice_per_image(counts: Array) -> Array:
    """2TP / (2TP + FP + FN) of each row (Dice 1945); 1 if neither mask nor prediction has foreground."""
    return ratio(2 * counts[:, 0], 2 * counts[:, 0] + counts[:, 1] + counts[:, 2])


def ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, and 1 if both are 0: no foreground in either mask or prediction."""
    if isinstance(part, Tensor):
        return torch.where(whole > 0, part / whole.clamp(min=1), 1.0)
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def nothing(counts: np.ndarray) -> np.ndarray:
    """Counts ``int64 (N, 4)`` of the same masks when no pixel is predicted as foreground."""
    tp, fp, fn, tn = counts.T
    return np.stack([0 * tp, 0 * fp, tp + fn, fp + tn], axis=1)


def everything(counts: np.ndarray) -> np.ndarray:
    """Counts ``int64 (N, 4)`` of the same masks when every pixel is predicted as foreground."""
    return nothing(counts)[:, [2, 3, 0, 1]]


def no_better_than(dice: float, counts: np.ndarray) -> str:
    """A remark if a mean Dice of ``dice`` on these images needs no network, else an empty string.

    It names the better of the two baselines, "no better than predicting nothing (Dice 0.4000)", or everything. Dice is
    compared to four decimals, as it is printed.
    """
    baselines = {kind.__name__: dice_per_image(kind(counts)).mean() for kind in (nothing, everything)}
    name = max(baselines, key=baselines.get)
    better = round(dice, 4) > round(baselines[name], 4)
    return "" if better else f"no better than predicting {name} (Dice {baselines[name]:.4f})"
