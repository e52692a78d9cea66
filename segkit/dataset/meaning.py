"""What the values of a set's masks mean, decided once from what is in all of them (``segkit.dataset.mask_values``).

What is unambiguous is taken: two values, of which the darker is background; small labels 0 and 1 with 255, which is
void as in PASCAL VOC; trimaps of 1, 2 and 3 as in Oxford-IIIT Pet; black and white with soft edges, cut at half of the
maximum. Anything else is refused, with the values that were found and the key that says what they mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import IGNORED
from segkit.base.params import Folder
from segkit.dataset.mask_values import (
    ADVICE,
    Found,
    brightness,
    colour_codes,
    is_grey,
    opaque,
    palette_colours,
    refuse_wide_colours,
)
from segkit.dataset.mask_words import Masks, also, as_number, listed, named, refuse_ambiguous, say

BLACK = 64  # a colour whose channels are all below this is black
SMALL = 64  # labels are below this
VOID = 255
NEARLY = 0.9  # of the maximum, as 254 is of 255
SOFT_VALUES = 5  # fewer distinct values than this are labels, not soft edges
BETWEEN = 0.10  # the largest fraction of pixels between dark and bright in masks with soft edges
INNER = 0.25  # the largest fraction of those that may be further than a pixel from an edge
BORDER = {"foreground": ((1, 3), ()), "background": ((1,), ()), "ignore": ((1,), (3,))}


@dataclass(frozen=True)
class Meaning:
    """How a mask's pixels become 0, 1 and 255.

    ``unit``: what a value is: ``grey``, ``index`` (of a palette), or ``colour`` (0xRRGGBB). Foreground are the values
    ``foreground``; with ``cut`` those from it on; with neither all but 0. ``words`` describes it.
    """

    unit: str
    words: str
    foreground: tuple[float, ...] = ()
    ignored: tuple[float, ...] = ()
    cut: float | None = None

    def check(self, image: Image.Image) -> None:
        """Refuse an opened mask whose values would not be read as they are; raises UnusableFile."""
        refuse_wide_colours(image)

    def mask(self, image: Image.Image) -> np.ndarray:
        """A decoded mask as ``uint8 (h, w)``: 0 background, 1 foreground, 255 ignored; raises UnusableFile."""
        values = _numbers(image, self.unit)
        if values.dtype == np.uint8:
            return self._of(np.arange(256))[values]
        return self._of(values)

    def summary(self) -> dict[str, Any]:
        """What the values mean, as JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    def _of(self, values: np.ndarray) -> np.ndarray:
        if self.cut is not None:
            mask = values >= self.cut
        else:
            mask = np.isin(values, self.foreground) if self.foreground else values != 0
        mask = mask.astype(np.uint8)
        mask[np.isin(values, self.ignored)] = IGNORED
        return mask


def _numbers(image: Image.Image, unit: str) -> np.ndarray:
    """The value of each pixel, ``(h, w)``."""
    bands = opaque(image)
    if image.mode in ("P", "PA"):
        if unit == "index":
            return bands
        colours = palette_colours(image)
        return (colours if unit == "colour" else (colours >> 8 & 255).astype(np.uint8))[bands]
    if bands.ndim == 3:
        return colour_codes(bands) if unit == "colour" else brightness(bands)
    return bands * np.int32(0x010101) if unit == "colour" else bands


def decide(masks: Masks, folder: Folder, border: str) -> Meaning:
    """What the values mean; ``border``: what the value 3 of trimaps becomes.

    Raises InputError if the values are ambiguous or contradict each other, with the key that decides.
    """
    unit = _unit(masks)
    values = {name: _values(found, unit) for name, found in masks}
    many = [name for name, found in masks if not values[name]]
    union = sorted(set().union(*values.values()))
    said = say(masks, union, bool(many), unit)
    if folder.foreground != "auto":
        _refuse_noise(masks, said)
        return _as_told(folder, unit, union, bool(many), said)
    if unit == "colour":
        return _of_colours(union, bool(many), said, values, folder)
    if many or _is_soft(masks, union):
        return _soft(masks, said, folder)
    meaning = _of_numbers(union, values, unit, said, border)
    if meaning is None:
        _refuse_noise(masks, said)
        refuse_ambiguous(said, values, unit)
    return meaning if not folder.ignore else _as_told(folder, unit, union, False, said)


def _unit(masks: Masks) -> str:
    """What counts as a value: colours if a mask has any, but the indices of palettes that begin with black."""
    palettes = [found for _, found in masks if found.kind == "palette"]
    if any(found.kind == "colour" for _, found in masks):
        return "colour"
    if all(is_grey(np.array(_channels(colour))) for found in palettes for colour in found.palette):
        return "grey"
    first = {
        colour for found in palettes for index, colour in zip(found.values, found.palette, strict=True) if not index
    }
    return "index" if first and all(map(_is_black, first)) and _same_palette(palettes) else "colour"


def _same_palette(palettes: list[Found]) -> bool:
    """Whether each index has one colour in all masks, so that it is a label and not a place in a list of colours."""
    pairs = {pair for found in palettes for pair in zip(found.values, found.palette, strict=True)}
    return len({index for index, _ in pairs}) == len(pairs)


def _channels(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _is_black(colour: int) -> bool:
    return max(_channels(colour)) < BLACK


def _values(found: Found, unit: str) -> tuple[float, ...]:
    """The distinct values in a unit; none if there are too many."""
    if found.kind == "palette" and unit != "index":
        return tuple(sorted({colour if unit == "colour" else colour >> 8 & 255 for colour in found.palette}))
    if found.kind == "grey" and unit == "colour":
        return tuple(int(value) * 0x010101 for value in found.values)
    return found.values


def _as_told(folder: Folder, unit: str, union: list[float], many: bool, said: str) -> Meaning:
    """The meaning that ``data.folder.foreground`` and ``ignore`` give."""
    told = {"foreground": folder.foreground, "ignore": folder.ignore}
    lists = {key: () if isinstance(value, str) else tuple(as_number(v) for v in value) for key, value in told.items()}
    for key, chosen in lists.items():
        absent = [value for value in chosen if value not in union]
        if absent and not many:
            raise InputError(f"data.folder.{key}: no mask holds {listed(absent, unit)}; {said}; correct the list")
    if both := set(lists["foreground"]) & set(lists["ignore"]):
        raise InputError(
            f"data.folder: {listed(sorted(both), unit)} is in both foreground and ignore; remove it from one"
        )
    ignored = lists["ignore"]
    labels = [value for value in union if value != VOID]
    if unit != "colour" and _has_void(labels, union) and VOID not in lists["foreground"]:
        ignored = tuple(sorted({*ignored, VOID}))
    if folder.foreground == "auto":  # ignore alone: two values must be left
        left = [value for value in union if value not in ignored]
        if len(left) != 2:
            raise InputError(f"data.folder.foreground: {said}; set it to the values that are foreground")
        return Meaning(unit, also(said, ignored, unit), (left[1],), ignored)
    words = (
        f"{said}; foreground: {'all but 0' if folder.foreground == 'nonzero' else listed(lists['foreground'], unit)}"
    )
    return Meaning(unit, also(words, ignored, unit), lists["foreground"], ignored)


def _refuse_noise(masks: Masks, said: str) -> None:
    """Raise InputError if lossy compression has changed values whose exact value counts."""
    lossy = [name for name, found in masks if found.lossy and found.distinct > 2]
    if lossy:
        raise InputError(
            f"data.folder.masks: {said}; {len(lossy):,} are JPEG or another lossy format ({named(lossy)}), whose "
            "compression adds values; make them again from their source, and save them as PNG"
        )


def _of_numbers(
    union: list[float], values: dict[str, tuple[float, ...]], unit: str, said: str, border: str
) -> Meaning | None:
    """The meaning of few greys or indices, if it is beyond doubt."""
    if len(union) == 1:
        raise InputError(
            f"data.folder.masks: {said} everywhere, so nothing can be learnt from them; draw the foreground in another "
            "value"
        )
    if union == [1, 2, 3]:
        foreground, ignored = BORDER[border]
        return Meaning(unit, "trimaps: 1 is foreground, 2 background, 3 border", foreground, ignored)
    labels = [value for value in union if value != VOID]
    if len(labels) == 2 and _has_void(labels, union):
        if any(VOID in held and labels[1] in held for held in values.values()):
            return Meaning(unit, also(said, (VOID,), unit), (labels[1],), (VOID,))
        return None  # some masks of 0 and 1, others of 0 and 255
    if len(union) == 2 and union != [1, 2]:  # 1 and 2 may be a trimap without its border, where 1 is the object
        return Meaning(unit, said, (union[1],))
    return None


def _has_void(labels: list[float], union: list[float]) -> bool:
    return VOID in union and len(labels) > 1 and all(0 <= label < SMALL and label == int(label) for label in labels)


def _of_colours(
    union: list[float], many: bool, said: str, values: dict[str, tuple[float, ...]], folder: Folder
) -> Meaning:
    if many:
        raise InputError(
            f"data.folder.masks: {said}, as photographs do; if data.folder.images and data.folder.masks are swapped, "
            f"swap them, else draw each mask again and {ADVICE}"
        )
    left = [value for value in union if value not in {as_number(value) for value in folder.ignore}]
    if len(left) != 2 or _is_black(left[0]) == _is_black(left[1]):
        refuse_ambiguous(said, values, "colour")
    foreground = next(value for value in left if not _is_black(value))
    return _as_told(folder.model_copy(update={"foreground": (foreground,)}), "colour", union, False, said)


def _is_soft(masks: Masks, union: list[float]) -> bool:
    """Whether few values are black and white, but for soft edges or rounding, and not labels."""
    whole, lit = all(found.whole for _, found in masks), [value for value in union if value > 0]
    if union[0] < 0 or (whole and union[-1] < SMALL):
        return False
    if len(union) > 2 and union[0] == 0 and lit[0] >= NEARLY * lit[-1]:
        return True
    return max(found.distinct for _, found in masks) >= SOFT_VALUES and _between(masks)[1] <= INNER


def _between(masks: Masks) -> tuple[float, float]:
    """The mean fraction of pixels between dark and bright, and the fraction of those not on an edge."""
    highest = max(found.high for _, found in masks)
    spread = [found for _, found in masks if found.high > highest / 2]
    between, inner = (sum(getattr(found, key) for found in spread) for key in ("between", "inner"))
    return between / max(1, len(spread)), inner / between if between else 0.0


def _soft(masks: Masks, said: str, folder: Folder) -> Meaning:
    """Masks of many values, cut at half of the maximum, if they are dark and bright with little between."""
    low, high = min(found.low for _, found in masks), max(found.high for _, found in masks)
    between, inner = _between(masks)
    whole = all(found.whole for _, found in masks)
    bright = any(found.upper for _, found in masks if found.distinct > 2)
    if folder.ignore or low < 0 or (whole and high < SMALL) or between > BETWEEN or inner > INNER or not bright:
        raise InputError(
            f"data.folder.foreground: {said}, with {between:.0%} of the pixels between dark and bright, so they are "
            "not black and white with soft edges; set it to nonzero if every value but 0 is foreground, or to a list "
            "of values; if these are photographs, data.folder.images and data.folder.masks are swapped"
        )
    other = [name for name, found in masks if _is_other(found, high)]
    if other:
        raise InputError(
            f"data.folder.masks: {said}; {len(other):,} of {len(masks):,} are unlike the rest, grey or much darker "
            f"({named(other)}); draw them again in black and white"
        )
    cut = (low + high) / 2
    shown = f"{cut:g}" if not whole else f"{int(np.ceil(cut))}"
    return Meaning("grey", f"{said}, cut at {shown}", cut=cut)


def _is_other(found: Found, high: float) -> bool:
    """Whether a mask does not fit a set of black and white masks with soft edges."""
    if found.high <= high / 2:
        return found.low != found.high and not found.lossy
    return found.between > 2.5 * BETWEEN
