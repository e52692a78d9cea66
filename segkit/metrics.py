"""Metrics of binary segmentation from integer counts: count once per image, reduce later.

Counts are ``int64 (N, 4)``: true positives, false positives, false negatives, true negatives, with ignored
pixels (mask value 255) left out. Everything else derives from them, so that no score depends on how images
were batched, except ``pixel_accuracy_batch``, which is defined that way.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

REPORT_BATCH = 15

Array = TypeVar("Array", np.ndarray, Tensor)


def count(predictions: Tensor, masks: Tensor) -> Tensor:
    """Counts ``int64 (N, 4)`` of TP, FP, FN, TN per image.

    ``predictions`` ``bool (N, H, W)``, ``masks`` ``uint8 (N, H, W)`` with 0, 1 and 255, on one device.
    """
    foreground, background = masks == 1, masks == 0
    cells = (predictions & foreground, predictions & background, ~predictions & foreground, ~predictions & background)
    return torch.stack([cell.flatten(1).sum(1) for cell in cells], dim=1)


def dice_per_image(counts: Array) -> Array:
    """2TP / (2TP + FP + FN) of each row (Dice 1945); 1 where neither mask nor prediction has foreground."""
    return _ratio(2 * counts[:, 0], 2 * counts[:, 0] + counts[:, 1] + counts[:, 2])


def iou_per_image(counts: Array) -> Array:
    """TP / (TP + FP + FN) of each row (Jaccard 1912); 1 where neither mask nor prediction has foreground."""
    return _ratio(counts[:, 0], counts[:, 0] + counts[:, 1] + counts[:, 2])


def scores(counts: np.ndarray) -> dict[str, float | int]:
    """All scores of ``int64 (N, 4)`` counts, N at least 1, by the names of ``metrics/evaluate_NAME.json``.

    ``dice`` and ``iou`` are means over images; ``dice_global``, ``iou_global``, ``precision``, ``recall`` and
    ``pixel_accuracy`` come from the summed counts; ``pixel_accuracy_batch`` is the mean over consecutive batches of
    15 images, the last one possibly shorter, of the share of pixels that agree.
    """
    if not len(counts):
        raise ValueError("no images to score")
    total = counts.sum(axis=0, keepdims=True)
    true_positives, false_positives, false_negatives, true_negatives = total.T
    batches = np.add.reduceat(counts, np.arange(0, len(counts), REPORT_BATCH), axis=0)
    result = {
        "dice": dice_per_image(counts).mean(),
        "dice_global": dice_per_image(total)[0],
        "iou": iou_per_image(counts).mean(),
        "iou_global": iou_per_image(total)[0],
        "precision": _ratio(true_positives, true_positives + false_positives)[0],
        "recall": _ratio(true_positives, true_positives + false_negatives)[0],
        "pixel_accuracy": _ratio(true_positives + true_negatives, total.sum(axis=1))[0],
        "pixel_accuracy_batch": _ratio(batches[:, 0] + batches[:, 3], batches.sum(axis=1)).mean(),
    }
    return {name: float(value) for name, value in result.items()} | {"images": len(counts)}


def _ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, and 1 where both are 0: nothing was there, and nothing was claimed."""
    if isinstance(part, Tensor):
        return torch.where(whole > 0, part / whole.clamp(min=1), 1.0)
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)
