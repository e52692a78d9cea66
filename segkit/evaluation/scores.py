"""Scores of binary segmentation, derived from integer counts per image (``segkit.models.counts``).

No score depends on how images were batched, except ``pixel_accuracy_batch``, which is defined that way.
"""

from collections.abc import Callable

import numpy as np

from segkit.models.counts import dice_per_image, everything, nothing, ratio

REPORT_BATCH = 15


def dice(counts: np.ndarray) -> float:
    """Mean over images of 2TP / (2TP + FP + FN)."""
    return dice_per_image(counts).mean()


def dice_global(counts: np.ndarray) -> float:
    """2TP / (2TP + FP + FN) of the summed counts."""
    return dice_per_image(_total(counts))[0]


def iou(counts: np.ndarray) -> float:
    """Mean over images of TP / (TP + FP + FN)."""
    return iou_per_image(counts).mean()


def iou_global(counts: np.ndarray) -> float:
    """TP / (TP + FP + FN) of the summed counts."""
    return iou_per_image(_total(counts))[0]


def precision(counts: np.ndarray) -> float:
    """TP / (TP + FP) of the summed counts; 1 if nothing is predicted."""
    tp, fp, _, _ = _total(counts).T
    return ratio(tp, tp + fp)[0]


def recall(counts: np.ndarray) -> float:
    """TP / (TP + FN) of the summed counts; 1 if the masks have no foreground."""
    tp, _, fn, _ = _total(counts).T
    return ratio(tp, tp + fn)[0]


def pixel_accuracy(counts: np.ndarray) -> float:
    """(TP + TN) / all pixels, of the summed counts."""
    return _agreement(_total(counts))[0]


def pixel_accuracy_batch(counts: np.ndarray) -> float:
    """Mean over consecutive batches of 15 images (the last may be shorter) of the fraction of pixels that agree."""
    return _agreement(np.add.reduceat(counts, np.arange(0, len(counts), REPORT_BATCH), axis=0)).mean()


def dice_of_nothing(counts: np.ndarray) -> float:
    """The ``dice`` of predicting no pixel as foreground: the fraction of images whose mask has none."""
    return dice(nothing(counts))


def dice_of_everything(counts: np.ndarray) -> float:
    """The ``dice`` of predicting every pixel as foreground."""
    return dice(everything(counts))


# The scores of metrics/scores/NAME.json, in this order.
SCORES: tuple[Callable[[np.ndarray], float], ...] = (
    dice,
    dice_global,
    iou,
    iou_global,
    precision,
    recall,
    pixel_accuracy,
    pixel_accuracy_batch,
    dice_of_nothing,
    dice_of_everything,
)


def scores(counts: np.ndarray) -> dict[str, float | int]:
    """All scores of ``int64 (N, 4)`` counts, N at least 1, by name, and the number of ``images``."""
    if not len(counts):
        raise ValueError("no images to score")
    return {score.__name__: float(score(counts)) for score in SCORES} | {"images": len(counts)}


def iou_per_image(counts: np.ndarray) -> np.ndarray:
    """TP / (TP + FP + FN) of each row (Jaccard 1912); 1 if neither mask nor prediction has foreground."""
    return ratio(counts[:, 0], counts[:, 0] + counts[:, 1] + counts[:, 2])


def _agreement(counts: np.ndarray) -> np.ndarray:
    return ratio(counts[:, 0] + counts[:, 3], counts.sum(axis=1))


def _total(counts: np.ndarray) -> np.ndarray:
    return counts.sum(axis=0, keepdims=True)
