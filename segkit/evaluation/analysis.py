"""Where and how a network errs: scores at all thresholds, calibration, distance of errors to the contour.

Each image is examined by itself (``examine``) and added to sums (``Analysis``), so memory does not grow with the number
of pixels. Every number is of pixels that count: ignored ones are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from torch import Tensor

from segkit.base.files import write_csv
from segkit.base.packed import BACKGROUND, FOREGROUND
from segkit.evaluation.error_kinds import ErrorKinds, error_kinds
from segkit.models import heads
from segkit.models.counts import dice_per_image, ratio

THRESHOLDS = np.arange(101) / 100
BINS = np.arange(21) / 20  # edges; the last bin includes its upper end
FARTHEST = 20  # pixels; all that is farther from the contour is in the last bin
IMAGE_COLUMNS = ("foreground", "brightness", "touches_edge", *ErrorKinds._fields)
TABLES = {
    "thresholds": ("threshold", "dice", "dice_global", "precision", "recall"),
    "histogram": ("dice", "images", "cumulative"),
    "reliability": ("probability", "pixels", "mean_probability", "foreground"),
    "boundary": ("distance", "pixels", "errors"),
}
# As heads.predict compares: float32 probabilities with the threshold rounded to float32.
_EDGES = np.append(THRESHOLDS.astype(np.float32), np.float32(np.inf))


class Examined(NamedTuple):
    """One image: ``columns``, the values of IMAGE_COLUMNS; ``histogram`` ``int64 (2, 102)``, pixels of background and
    of foreground by the number of THRESHOLDS that their probability reaches; ``probabilities`` ``float64 (20,)``, their
    sum in each of BINS; ``boundary`` ``int64 (2, 41)``, pixels and errors by distance to the contour."""

    columns: list[Any]
    histogram: np.ndarray
    probabilities: np.ndarray
    boundary: np.ndarray


def examine(probabilities: Tensor, mask: np.ndarray, picture: np.ndarray, threshold: float) -> Examined:
    """One image without padding: ``float32 (h, w)`` on the CPU, ``uint8 (h, w)`` with 0, 1 and others (ignored), and
    ``uint8 (h, w, 3)``. ``threshold``: for the errors by distance and by kind."""
    prediction = heads.predict(probabilities, threshold).numpy()
    truth, counted = mask == FOREGROUND, (mask == FOREGROUND) | (mask == BACKGROUND)
    values, classes = probabilities.numpy()[counted], truth[counted]
    reached = thresholds_reached(values)
    histogram = np.bincount(reached + classes * (len(THRESHOLDS) + 1), minlength=2 * (len(THRESHOLDS) + 1))
    return Examined(
        [*_appearance(truth, counted, picture), *error_kinds(prediction, mask)],
        histogram.reshape(2, -1),
        np.bincount(_bin(reached), values, len(BINS) - 1),
        _by_distance(prediction, truth, counted),
    )


def thresholds_reached(probabilities: np.ndarray) -> np.ndarray:
    """Of each ``float32 (N,)`` how many of THRESHOLDS it reaches, ``int64 (N,)``: exactly as ``heads.predict`` does."""
    near = (probabilities * 100).astype(np.int64).clip(0, 100)  # rounded, so up to one too high or too low
    return near + (probabilities >= _EDGES[near]) + (probabilities >= _EDGES[near + 1])


def _bin(reached: np.ndarray) -> np.ndarray:
    """The bin of BINS of probabilities that reach that many thresholds."""
    return ((reached - 1) // 5).clip(0, len(BINS) - 2)


def _appearance(truth: np.ndarray, counted: np.ndarray, picture: np.ndarray) -> list[Any]:
    foreground = truth.sum() / max(counted.sum(), 1)
    brightness = np.asarray(Image.fromarray(picture).convert("L")).mean() / 255
    touches = any(line.any() for line in (truth[0], truth[-1], truth[:, 0], truth[:, -1]))
    return [f"{foreground:.6f}", f"{brightness:.6f}", int(touches)]


def _by_distance(prediction: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Pixels and errors, ``int64 (2, 41)``, of each distance from -20 to 20; none if the mask has no contour."""
    bins = 2 * FARTHEST + 1
    distances = contour_distances(truth)
    if distances is None:
        return np.zeros((2, bins), np.int64)
    chosen = (distances[counted] + FARTHEST, distances[counted & (prediction != truth)] + FARTHEST)
    return np.stack([np.bincount(each, minlength=bins) for each in chosen])


def contour_distances(truth: np.ndarray) -> np.ndarray | None:
    """Rounded distance of each pixel to the mask's contour, ``int64 (h, w)``, negative inside, up to FARTHEST.

    The contour are the pixels of the mask that share an edge with a pixel outside it. The image's edge is no contour:
    what is shown there goes on. None if there is no such pixel.
    """
    contour = truth & ~ndimage.binary_erosion(truth, border_value=1)
    if not contour.any():
        return None
    distances = ndimage.distance_transform_edt(~contour).round().clip(max=FARTHEST).astype(np.int64)
    return np.where(truth, -distances, distances)


class Analysis:
    """Sums over images that are added one by one; ``columns``: the values of IMAGE_COLUMNS of each."""

    def __init__(self) -> None:
        self.columns: list[list[Any]] = []
        self._counts = np.zeros((len(THRESHOLDS), 4), np.int64)
        self._dice = np.zeros(len(THRESHOLDS))
        self._histogram, self._probabilities, self._boundary = 0, 0, 0

    def add(self, image: Examined) -> None:
        """Add what ``examine`` returned."""
        self.columns.append(image.columns)
        counts = _counts(image.histogram)
        self._counts += counts
        self._dice += dice_per_image(counts)
        self._histogram = self._histogram + image.histogram
        self._probabilities = self._probabilities + image.probabilities
        self._boundary = self._boundary + image.boundary

    def write(self, folder: Path, dice: np.ndarray) -> None:
        """Write the four tables; ``dice``: of each image, at the threshold of the evaluation."""
        distances = zip(range(-FARTHEST, FARTHEST + 1), *self._boundary, strict=True)
        for name, rows in {
            "thresholds": self._scores(),
            "histogram": _histogram(dice),
            "reliability": self._reliability(),
            "boundary": distances,
        }.items():
            write_csv(folder / f"{name}.csv", TABLES[name], rows)

    def _scores(self) -> Iterator[list[str]]:
        tp, fp, fn, _ = self._counts.T
        found = (self._dice / len(self.columns), dice_per_image(self._counts), ratio(tp, tp + fp), ratio(tp, tp + fn))
        for threshold, *values in zip(THRESHOLDS, *found, strict=True):
            yield [f"{threshold:.2f}", *(f"{value:.6f}" for value in values)]

    def _reliability(self) -> Iterator[list[Any]]:
        """A bin without pixels has neither a mean nor a share."""
        bins = _bin(np.arange(self._histogram.shape[1]))
        pixels = np.bincount(bins, self._histogram.sum(axis=0)).astype(np.int64)
        foreground = np.bincount(bins, self._histogram[1])
        for start, number, total, inside in zip(BINS[:-1], pixels, self._probabilities, foreground, strict=True):
            shares = [f"{total / number:.6f}", f"{inside / number:.6f}"] if number else ["", ""]
            yield [f"{start:.2f}", number, *shares]


def _counts(histogram: np.ndarray) -> np.ndarray:
    """Counts ``int64 (101, 4)`` at each of THRESHOLDS: a pixel is predicted if it reaches more of them than come before
    this one."""
    fp, tp = np.cumsum(histogram[:, ::-1], axis=1)[:, -2::-1]
    negatives, positives = histogram.sum(axis=1)
    return np.stack([tp, fp, positives - tp, negatives - fp], axis=1)


def _histogram(dice: np.ndarray) -> Iterator[list[Any]]:
    images, _ = np.histogram(dice, BINS)
    for start, number, until in zip(BINS[:-1], images, np.cumsum(images), strict=True):
        yield [f"{start:.2f}", number, f"{until / len(dice):.6f}"]
