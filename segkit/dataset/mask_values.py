"""What one mask file holds: its values, whatever its mode, and how they are spread.

A value is a number of a greyscale mask, the index or the colour of a palette, or a colour. A colour is the number
0xRRGGBB. Which of a palette's two counts is decided for the whole set (``segkit.dataset.meaning``).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from segkit.dataset.decode import JPEG, UnusableFile, guarded

FEW = 64  # distinct values of a mask that are kept one by one
GREY_TOLERANCE = 16  # between the channels of a grey pixel, as JPEG leaves them
ADVICE = "save it as 8-bit greyscale with black (0) background and white (255) foreground"


@dataclass(frozen=True)
class Found:
    """The values of one mask.

    ``kind``: ``grey``, ``colour``, or ``palette`` with the colour of each index in use. ``values``: the distinct values
    (indices of a palette), empty if there are more than ``FEW``; ``distinct``: how many there are. ``between``: the
    fraction of pixels in the middle half of the range of values; ``inner``: of those not on an edge. ``whole``: stored
    as integers.
    """

    kind: str
    values: tuple[float, ...]
    distinct: int
    low: float
    high: float
    lossy: bool
    whole: bool = True
    palette: tuple[int, ...] = ()
    between: float = 0.0
    inner: float = 0.0
    upper: float = 0.0


def examine(mask: Image.Image, lossy: bool) -> Found:
    """The values of a decoded mask; raises UnusableFile for modes without values and for ambiguous transparency."""
    bands = opaque(mask)
    if mask.mode in ("P", "PA"):
        values = np.flatnonzero(np.bincount(bands.ravel(), minlength=256))
        colours = palette_colours(mask)
        used = tuple(int(colours[value]) for value in values)
        return Found("palette", tuple(values.tolist()), len(values), *_ends(values), lossy, palette=used)
    if bands.ndim == 3:
        if not is_grey(bands):
            codes = np.unique(colour_codes(bands))
            few = tuple(codes.tolist()) if len(codes) <= FEW else ()
            return Found("colour", few, len(codes), *_ends(codes), lossy)
        bands = brightness(bands)
    values = np.flatnonzero(np.bincount(bands.ravel())) if bands.dtype == np.uint8 else np.unique(bands)
    few = tuple(values.tolist()) if len(values) <= FEW else ()
    found = Found("grey", few, len(values), *_ends(values), lossy, whole=bands.dtype.kind != "f")
    return Found(**vars(found) | _spread(bands, found)) if len(values) > 2 else found


def _ends(values: np.ndarray) -> tuple[float, float]:
    return values[0].item(), values[-1].item()


def _spread(bands: np.ndarray, found: Found) -> dict[str, float]:
    """How many pixels are neither dark nor bright, and how many of those have only such neighbours."""
    low, high = (found.low + (found.high - found.low) * share for share in (0.25, 0.75))
    between = (bands > low) & (bands < high)
    inner = between[1:-1].copy()
    for rows in (between[:-2], between[2:]):
        inner &= rows
    inner = inner[:, :-2] & inner[:, 1:-1] & inner[:, 2:]
    pixels = bands.size
    counts = {"between": between, "inner": inner, "upper": bands >= high}
    return {name: np.count_nonzero(part) / pixels for name, part in counts.items()}


def opaque(mask: Image.Image) -> np.ndarray:
    """The pixels of a mask without transparency: ``(h, w)`` of numbers or indices, or ``uint8 (h, w, 3)``.

    Raises UnusableFile for modes without values (CMYK, LAB), for numbers that are not finite, and if the transparency
    changes what is seen.
    """
    if mask.mode == "1":
        mask = mask.convert("L")
    if mask.mode in ("L", "P", "RGB"):
        return np.asarray(mask)
    if mask.mode == "RGBX":
        return np.asarray(mask)[..., :3]
    if mask.mode in ("LA", "PA", "RGBA"):
        *bands, alpha = np.moveaxis(np.asarray(mask), -1, 0)
        lit = np.any(bands, axis=0)
        if (alpha < 255).any() and (lit[alpha < 255].any() or not lit.any()):
            raise UnusableFile(f"mask: it is partly transparent, so what is foreground is ambiguous; {ADVICE}")
        return np.stack(bands, -1) if len(bands) == 3 else bands[0]
    if not mask.mode.startswith(("I", "F")):
        raise UnusableFile(f"mask: its mode {mask.mode} has no label values; {ADVICE}")
    values = np.asarray(mask)
    if not np.isfinite(values).all():
        raise UnusableFile(f"mask: some values are not finite; {ADVICE}")
    return values


def palette_colours(mask: Image.Image) -> np.ndarray:
    """The colour 0xRRGGBB of each index, ``int32 (256,)``."""
    colours = np.zeros((256, 3), np.uint8)
    used = np.frombuffer(mask.palette.tobytes() if mask.palette.mode == "RGB" else _rgb_palette(mask), np.uint8)
    used = used[: used.size // 3 * 3].reshape(-1, 3)[:256]
    colours[: len(used)] = used
    return colour_codes(colours)


def _rgb_palette(mask: Image.Image) -> bytes:
    with guarded():
        return bytes(mask.getpalette("RGB") or b"")


def colour_codes(colours: np.ndarray) -> np.ndarray:
    """``uint8 (..., 3)`` as 0xRRGGBB, ``int32 (...)``."""
    return colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def is_grey(colours: np.ndarray) -> bool:
    """Whether all pixels ``uint8 (..., 3)`` are grey, but for what lossy compression adds."""
    return bool((np.ptp(colours.astype(np.int16), axis=-1) <= GREY_TOLERANCE).all()) if colours.size else True


def brightness(colours: np.ndarray) -> np.ndarray:
    """Grey pixels ``uint8 (..., 3)`` as one number, ``uint8 (...)``."""
    return colours[..., 1]


def is_lossy(image: Image.Image) -> bool:
    """Whether the compression of an opened file changes values."""
    if image.format == "WEBP":
        with open(image.filename, "rb") as file:
            return b"VP8L" not in file.read()  # the name of the part with lossless pixels
    return image.format in JPEG or image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")


def refuse_wide_colours(image: Image.Image) -> None:
    """Refuse an opened mask with colours of 16 bits, of which Pillow reads the upper eight; raises UnusableFile."""
    with guarded():
        details = image.tile[0].args if image.tile else ""
        raw_mode = details if isinstance(details, str) else str(details[0])
    if image.mode.startswith("RGB") and "16" in raw_mode:
        raise UnusableFile(f"it has 16-bit colours; {ADVICE}")
