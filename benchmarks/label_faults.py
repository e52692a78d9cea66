"""Faults that people make in masks, planted into packed masks."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from segkit.base.packed import BACKGROUND, FOREGROUND

Generator = np.random.Generator
SHIFT = 0.15, 0.25  # of the side
GROWN, SHRUNK = 1.6, 0.55  # times the area
LARGEST_GROWN = 0.5  # larger objects have no room to grow


def plant(masks: np.ndarray, share: float, generator: Generator) -> tuple[np.ndarray, dict[int, str]]:
    """A copy of ``masks`` ``uint8 (N, H, W)`` with faults in ``share`` of them, and the kind of fault of each row.

    The kinds take turns, so each is planted equally often, give or take one.
    """
    rows = generator.choice(len(masks), round(len(masks) * share), replace=False)
    kinds = list(FAULTS)
    first = int(generator.integers(len(kinds)))
    faults = {int(row): kinds[(first + turn) % len(kinds)] for turn, row in enumerate(rows)}
    planted = masks.copy()
    for row, kind in faults.items():
        planted[row] = FAULTS[kind](masks, row, generator)
    return planted, faults


def other(masks: np.ndarray, row: int, generator: Generator) -> np.ndarray:
    """The mask of another image."""
    return masks[(row + generator.integers(1, len(masks))) % len(masks)]


def shifted(masks: np.ndarray, row: int, generator: Generator) -> np.ndarray:
    """Moved by 15 to 25 % of the side in any direction."""
    angle, reach = generator.uniform(0, 2 * np.pi), generator.uniform(*SHIFT)
    height, width = masks[row].shape
    move = reach * height * np.sin(angle), reach * width * np.cos(angle)
    return ndimage.shift(masks[row], move, order=0, cval=BACKGROUND)


def grown_or_shrunk(masks: np.ndarray, row: int, generator: Generator) -> np.ndarray:
    """Dilated to 1.6 times the area, or eroded to 0.55 times."""
    region = masks[row] == FOREGROUND
    area, grow = region.sum(), generator.random() < 0.5 and region.mean() < LARGEST_GROWN
    step = ndimage.binary_dilation if grow else ndimage.binary_erosion
    while region.any() and (region.sum() < GROWN * area if grow else region.sum() > SHRUNK * area):
        region = step(region)
    return region.astype(np.uint8)


def half_missing(masks: np.ndarray, row: int, generator: Generator) -> np.ndarray:
    """Half of the object is background: the upper, lower, left or right one."""
    region, axis = masks[row] == FOREGROUND, int(generator.integers(2))
    middle = np.median(np.nonzero(region)[axis])
    place = np.arange(region.shape[axis])
    kept = place < middle if generator.random() < 0.5 else place >= middle
    return (region & (kept[:, None] if axis == 0 else kept)).astype(np.uint8)


def dropped(masks: np.ndarray, row: int, generator: Generator) -> np.ndarray:
    """No object at all."""
    return np.full_like(masks[row], BACKGROUND)


def inverted(masks: np.ndarray, row: int, generator: Generator) -> np.ndarray:
    """Foreground and background swapped."""
    return np.where(masks[row] == FOREGROUND, BACKGROUND, FOREGROUND).astype(np.uint8)


FAULTS: dict[str, Callable[[np.ndarray, int, Generator], np.ndarray]] = {
    function.__name__: function for function in (other, shifted, grown_or_shrunk, half_missing, dropped, inverted)
}
