"""Confidence intervals of a mean by the bootstrap's percentiles (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13).

Draws come from a counter-based generator with a fixed key, so the same values give the same interval, and two sets of
values of one length are resampled alike.
"""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
KEY = 1993
CHUNK = 2**22  # drawn numbers in memory at once


@dataclass(frozen=True)
class Interval:
    """A mean over ``count`` values and its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: np.ndarray) -> Interval:
    """The mean of ``float (N,)`` over pictures, or of ``(S, N)`` over S seeds and N pictures.

    With seeds, a resample draws S seeds and N pictures, each with replacement. Of fewer than two values nothing is
    known about the spread: the ends of the interval are NaN.
    """
    values = np.atleast_2d(np.asarray(values, float))
    if not values.size:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    mean = float(values.mean())
    if values.shape[1] < 2:
        return Interval(mean, float("nan"), float("nan"), values.shape[1])
    low, high = np.quantile(resampled_means(values), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(mean, float(low), float(high), values.shape[1])


def resampled_means(values: np.ndarray) -> np.ndarray:
    """Means ``float64 (RESAMPLES,)`` of resamples of ``(S, N)``, in both directions."""
    seeds, pictures = values.shape
    numbers = np.random.Generator(np.random.Philox(key=KEY))
    chosen = numbers.integers(seeds, size=(RESAMPLES, seeds)) if seeds > 1 else np.zeros((RESAMPLES, 1), int)
    means, step = np.empty(RESAMPLES), max(1, CHUNK // pictures)
    for start in range(0, RESAMPLES, step):
        rows = slice(start, min(start + step, RESAMPLES))
        drawn = numbers.integers(pictures, size=(rows.stop - start, pictures))
        # the mean over the drawn seeds of every picture, then over the drawn pictures
        means[rows] = np.mean([values[chosen[rows, seed, None], drawn] for seed in range(seeds)], axis=(0, 2))
    return means
