"""What the values of a set's masks mean, decided once from what is in all of them (``segkit.dataset.mask_values``).

What is unambiguous is taken: two values, of which the darker is background; small labels 0 and 1 with 255, which is
void as in PASCAL VOC; trimaps of 1, 2 and 3 as in Oxford-IIIT Pet; black and white with soft edges, cut at half of the
maximum. Anything else is refused, with the values that were found and the key that says what they mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from segkit.base.errors import InputError, few
from segkit.base.packed import BORDER, IGNORED
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
from segkit.dataset.mask_words import Masks, also, as_number, listed, refuse_ambiguous, say
from segkit.dataset.pictures import TRIMAPS
from segkit.dataset.soft_edges import SMALL, cut, ends, is_soft, soft_fault

BLACK = 64  # a colour whose channels are all below this is black
VOID = 255

Values = Sequence[tuple[str, tuple[float, ...]]]  # names and distinct values; none where there are too many


@dataclass(frozen=True)
class Meaning:
    """How a mask's pixels become 0, 1, 2 and 255.

    ``unit``: what a value is: ``grey``, ``index`` (of a palette), or ``colour`` (0xRRGGBB). Foreground are the values
    ``foreground``; with ``cut`` those from it on, or with ``dark`` those below; with neither all but 0. ``border``: the
    value of a trimap's border. ``words`` describes it.
    """

    unit: str
    words: str
    foreground: tuple[float, ...] = ()
    ignored: tuple[float, ...] = ()
    border: tuple[float, ...] = ()
    cut: float | None = None
    dark: bool = False

    def check(self, image: Image.Image) -> None:
        """Refuse an opened mask whose values would not be read as they are; raises UnusableFile."""
        refuse_wide_colours(image)

    def mask(self, image: Image.Image) -> np.ndarray:
        """A decoded mask as ``uint8 (h, w)`` of 0, 1, 2 (border), 255; raises UnusableFile."""
        values = _numbers(image, self.unit)
        if values.dtype == np.uint8:
            return self._of(np.arange(256))[values]
        return self._of(values)

    def summary(self) -> dict[str, Any]:
        """What the values mean, as JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    def _of(self, values: np.ndarray) -> np.ndarray:
        if self.cut is not None:
            mask = (values >= self.cut) != self.dark
        else:
            mask = np.isin(values, self.foreground) if self.foreground else values != 0
        mask = mask.astype(np.uint8)
        mask[np.isin(values, self.border)] = BORDER
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


def decide(masks: Masks, folder: Folder) -> Meaning:
    """What the values mean.

    Raises InputError if the values are ambiguous or contradict each other, with the key that decides.
    """
    unit = _unit(masks, folder)
    held = [(name, _values(found, unit)) for name, found in masks]
    many = not all(values for _, values in held)
    union = sorted({value for _, values in held for value in values})
    said = say(masks, union, many, unit)
    void = _void(held, unit) if not any(found.lossy for _, found in masks) else ()
    soft = unit == "grey" and (many or (is_soft(masks, union) and not void))
    if folder.foreground != "auto":
        if soft and soft_fault(masks) is None and folder.foreground in [(end,) for end in ends(masks)]:
            return _soft(masks, said, folder)
        _refuse_noise(masks, said)
        return _as_told(folder, unit, union, many, said, void)
    if soft:
        return _soft(masks, said, folder)
    if unit == "colour" and many:
        raise InputError(
            f"data.folder.masks: {said}, as photographs do; if data.folder.images and data.folder.masks are swapped, "
            f"swap them, else draw each mask again and {ADVICE}"
        )
    ignored = tuple(sorted({*void, *_listed_values(folder, "ignore", unit, union, many, said)}))
    _refuse_noise(masks, said)
    meaning = None if many else _of_few(union, ignored, unit, said)
    if meaning is None:
        refuse_ambiguous(said, held, unit)
    return meaning


def _soft(masks: Masks, said: str, folder: Folder) -> Meaning:
    """Black and white with soft edges; the darker is background, unless ``data.folder.foreground`` lists it."""
    half, (low, _) = cut(masks, said), ends(masks)
    if folder.ignore:
        raise InputError(
            f"data.folder.ignore: {said}, which are soft edges of black and white; remove the list, or set "
            "data.folder.foreground to a list, too"
        )
    dark = folder.foreground == (low,)
    shown = f"{half:g}" if not all(found.whole for _, found in masks) else f"{int(np.ceil(half))}"
    return Meaning("grey", f"{said}, cut at {shown}{', darker is foreground' * dark}", cut=half, dark=dark)


def _unit(masks: Masks, folder: Folder) -> str:
    """What counts as a value: colours if a mask has any, but the indices of palettes that begin with black; else what
    ``data.folder.foreground`` and ``ignore`` list."""
    told = [
        value for values in (folder.foreground, folder.ignore) if values not in ("auto", "nonzero") for value in values
    ]
    if any(isinstance(value, str) for value in told):
        return "colour"
    palettes = [found for _, found in masks if found.kind == "palette"]
    if any(found.kind == "colour" for _, found in masks):
        return "colour"
    if any(len(set(found.palette)) < len(found.palette) for found in palettes):  # colours tell nothing
        return "index"
    if all(is_grey(np.array(_channels(colour), np.uint8)) for found in palettes for colour in found.palette):
        return "grey"
    first = {
        colour for found in palettes for index, colour in zip(found.values, found.palette, strict=True) if not index
    }
    labels = first and all(map(_is_black, first)) and _same_palette(palettes)
    return "index" if labels or told else "colour"


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


def _void(held: Values, unit: str) -> tuple[float, ...]:
    """255 if it is beside small labels, and not in place of them in most masks."""
    labels = sorted({value for _, values in held for value in values} - {VOID})
    if unit == "colour" or len(labels) < 2 or not all(0 <= label < SMALL and label == int(label) for label in labels):
        return ()
    with_void = [not set(labels[1:]).isdisjoint(values) for _, values in held if VOID in values]
    return (VOID,) if 2 * sum(with_void) > len(with_void) else ()


def _as_told(folder: Folder, unit: str, union: list[float], many: bool, said: str, void: tuple[float, ...]) -> Meaning:
    """The meaning that ``data.folder.foreground`` and ``ignore`` give."""
    if folder.foreground == "nonzero":
        foreground: tuple[float, ...] = ()
        if not many and 0 not in union:
            raise InputError(
                f"data.folder.foreground: {said} and no 0, so nonzero would be all; set it to the values that are "
                "foreground"
            )
    else:
        foreground = _listed_values(folder, "foreground", unit, union, many, said)
    ignored = _listed_values(folder, "ignore", unit, union, many, said)
    if both := set(foreground) & set(ignored):
        raise InputError(
            f"data.folder: {listed(sorted(both), unit)} is in both foreground and ignore; remove it from one"
        )
    ignored = tuple(sorted({*ignored, *void} - set(foreground)))
    words = f"{said}; foreground: {listed(foreground, unit) if foreground else 'all but 0'}"
    return Meaning(unit, also(words, ignored, unit), foreground, ignored)


def _listed_values(folder: Folder, key: str, unit: str, union: list[float], many: bool, said: str) -> tuple[float, ...]:
    """The values that a key lists; raises InputError for those that no mask holds."""
    told = getattr(folder, key)
    if unit == "colour" and any(not isinstance(value, str) for value in told):
        raise InputError(f"data.folder.{key}: {said}; list them as colours, such as ['#ff0000'], and not as numbers")
    values = tuple(map(as_number, told))
    absent = [value for value in values if value not in union]
    if absent and not many:
        raise InputError(f"data.folder.{key}: no mask holds {listed(absent, unit)}; {said}; correct the list")
    return values


def _refuse_noise(masks: Masks, said: str) -> None:
    """Raise InputError if lossy compression has changed values whose exact value counts."""
    lossy = [name for name, found in masks if found.lossy and (found.distinct > 2 or 0 < found.high < SMALL)]
    if lossy:
        raise InputError(
            f"data.folder.masks: {said}; {len(lossy):,} are JPEG or another lossy format ({few(lossy)}), whose "
            "compression changes values; make them again from their source, and save them as PNG"
        )


def _of_few(union: list[float], ignored: tuple[float, ...], unit: str, said: str) -> Meaning | None:
    """The meaning of few values, if it is beyond doubt; ``ignored``: those that are left out."""
    left = [value for value in union if value not in ignored]
    if unit != "colour" and union == [1, 2, 3] and left in (union, [1, 2]):
        return Meaning(unit, also(TRIMAPS, ignored, unit), (1,), ignored, border=tuple(left[2:]))
    said = also(said, ignored, unit)
    if len(left) < 2:
        raise InputError(
            f"data.folder.masks: {said}, so nothing can be learnt from them; draw the foreground in another value"
        )
    if len(left) > 2 or left == [1, 2]:  # 1 and 2 may be a trimap without its border, where 1 is the object
        return None
    if unit == "colour":
        if _is_black(left[0]) == _is_black(left[1]):
            return None
        left.sort(key=_is_black, reverse=True)
    return Meaning(unit, said, (left[1],), ignored)
