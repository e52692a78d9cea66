"""Masks in black and white with soft edges, as editors and lossy compression make them, or not."""

from segkit.base.errors import InputError, few
from segkit.dataset.mask_values import Found
from segkit.dataset.mask_words import Masks

SMALL = 64  # labels are below this
NEARLY = 0.9  # of the maximum, as 254 is of 255
SOFT_VALUES = 5  # fewer distinct values than this are labels, not soft edges
LABELS = 16  # so are up to this many, if none is between dark and bright
BETWEEN = 0.10  # the largest fraction of pixels between dark and bright
FAR = 0.25  # the largest fraction of those that may be far from bright ones


def is_soft(masks: Masks, union: list[float]) -> bool:
    """Whether few greys are black and white, but for soft edges or rounding, and not labels."""
    whole, lit = all(found.whole for _, found in masks), [value for value in union if value > 0]
    if union[0] < 0 or (whole and union[-1] < SMALL):
        return False
    if len(union) > 2 and union[0] == 0 and lit[0] >= NEARLY * lit[-1]:
        return True
    if max(found.distinct for _, found in masks) < SOFT_VALUES:
        return False
    between, far = _between(masks)
    lossy = any(found.lossy for _, found in masks)
    return far <= FAR and (between > 0 or lossy or len(union) > LABELS)


def _between(masks: Masks) -> tuple[float, float]:
    """The mean fraction of pixels between dark and bright, and the fraction of those far from bright ones."""
    highest = max(found.high for _, found in masks)
    spread = [found for _, found in masks if found.high > highest / 2]
    between, far = (sum(getattr(found, key) for found in spread) for key in ("between", "far"))
    return between / max(1, len(spread)), far / between if between else 0.0


def ends(masks: Masks) -> tuple[float, float]:
    """The lowest and the highest value."""
    return min(found.low for _, found in masks), max(found.high for _, found in masks)


def soft_fault(masks: Masks) -> str | None:
    """Why masks of many values are not black and white with soft edges; None if they are."""
    low, high = ends(masks)
    between, far = _between(masks)
    bright = any(found.upper or found.distinct <= 2 for _, found in masks if found.high > high / 2)
    whole = all(found.whole for _, found in masks)
    if low < 0 or (whole and high < SMALL) or between > BETWEEN or far > FAR or not bright:
        return f"with {between:.0%} of the pixels between dark and bright"
    return None


def cut(masks: Masks, said: str) -> float:
    """Half of the maximum; raises InputError if the masks are not dark and bright with little between."""
    if fault := soft_fault(masks):
        raise InputError(
            f"data.folder.foreground: {said}, {fault}, so they are not black and white with soft edges; set it to "
            "nonzero if every value but 0 is foreground, or to a list of values; if these are photographs, "
            "data.folder.images and data.folder.masks are swapped"
        )
    low, high = ends(masks)
    if other := [name for name, found in masks if _is_other(found, low, high)]:
        raise InputError(
            f"data.folder.masks: {said}; {len(other):,} of {len(masks):,} are unlike the rest, grey or much darker "
            f"({few(other)}); draw them again in black and white"
        )
    return (low + high) / 2


def _is_other(found: Found, low: float, high: float) -> bool:
    """Whether a mask does not fit a set of black and white masks with soft edges from ``low`` to ``high``."""
    if found.high <= high / 2:
        return found.high > low and not found.lossy
    return found.between > 2.5 * BETWEEN
