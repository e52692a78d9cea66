"""What one mask file holds: its values, whatever its mode, and how they are spread.

A value is a number of a greyscale mask, the index or the colour of a palette, or a colour. A colour is the number
0xRRGGBB. Which of a palette's two counts is decided for the whole set (``segkit.dataset.meaning``).
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from segkit.dataset.decode import JPEG, UnusableFile, guarded

FEW = 64  # distinct values of a mask that are kept one by one
GREY_TOLERANCE = 1 / 16  # of the largest value, between the channels of a grey pixel, as JPEG leaves them
NEAR = 2  # pixels
WEBP_HEAD = 2**25  # bytes of a WebP file that are read, which may begin with a colour profile
ADVICE = "save it as 8-bit greyscale with black (0) background and white (255) foreground"


@dataclass(frozen=True)
class Found:
    """The values of one mask.

    ``kind``: ``grey``, ``colour``, or ``palette`` with the colour of each index in use. ``values``: the distinct values
    (indices of a palette), empty if there are more than ``FEW``; ``distinct``: how many there are. ``low``, ``high``:
    their ends, of a palette of greys those of its brightness. ``between``: the fraction of pixels in the middle half of
    that range, ``upper`` of those above, and ``far`` of those between that are not near one above. ``whole``: stored as
    integers.
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
    far: float = 0.0
    upper: float = 0.0


def examine(mask: Image.Image, lossy: bool) -> Found:
    """The values of a decoded mask; raises UnusableFile for modes without values and for ambiguous transparency."""
    bands = opaque(mask)
    if mask.mode in ("P", "PA"):
        values = _distinct(bands)
        colours = palette_colours(mask)
        used = colours[values]
        found = Found(
            "palette", tuple(values.tolist()), len(values), *_ends(values), lossy, palette=tuple(used.tolist())
        )
        if not is_grey(_channels(used)):
            return found
        found = replace(found, low=int(used.min()) & 255, high=int(used.max()) & 255)
        return _with_spread(found, brightness(_channels(colours))[bands])
    if bands.ndim == 3:
        if not is_grey(bands):
            codes = np.unique(colour_codes(bands))
            few = tuple(codes.tolist()) if len(codes) <= FEW else ()
            return Found("colour", few, len(codes), *_ends(codes), lossy)
        bands = brightness(bands)
    values = _distinct(bands)
    few = tuple(values.tolist()) if len(values) <= FEW else ()
    found = Found("grey", few, len(values), *_ends(values), lossy, whole=bands.dtype.kind != "f")
    return _with_spread(found, bands)


def _distinct(bands: np.ndarray) -> np.ndarray:
    """The distinct values, ascending."""
    return np.flatnonzero(Image.fromarray(bands).histogram()) if bands.dtype == np.uint8 else np.unique(bands)


def _ends(values: np.ndarray) -> tuple[float, float]:
    return values[0].item(), values[-1].item()


def _with_spread(found: Found, bands: np.ndarray) -> Found:
    """With how many pixels of ``bands`` (h, w) are neither dark nor bright, if there are more than two values."""
    if found.distinct <= 2:
        return found
    low, high = (found.low + (found.high - found.low) * share for share in (0.25, 0.75))
    upper = bands >= high
    between = (bands > low) & ~upper
    parts = {"between": between, "far": between & ~_grown(upper), "upper": upper}
    return replace(found, **{name: np.count_nonzero(part) / bands.size for name, part in parts.items()})


def _grown(pixels: np.ndarray) -> np.ndarray:
    """``bool (h, w)``: within ``NEAR`` pixels, in each direction, of one of ``pixels``."""
    for axis in (0, 1):
        grown = pixels.copy()
        for step in range(1, NEAR + 1):
            for one, other in ((slice(step, None), slice(None, -step)), (slice(None, -step), slice(step, None))):
                place, source = [slice(None)] * 2, [slice(None)] * 2
                place[axis], source[axis] = one, other
                grown[tuple(place)] |= pixels[tuple(source)]
        pixels = grown
    return pixels


def opaque(mask: Image.Image) -> np.ndarray:
    """The pixels of a mask without transparency: ``(h, w)`` of numbers or indices, or ``uint8 (h, w, 3)``.

    Raises UnusableFile for modes without values (CMYK, LAB), for numbers that are not finite, and if the transparency
    changes what is seen.
    """
    if mask.mode in ("P", "PA") and mask.palette is None:
        raise UnusableFile(f"mask: its palette is missing; {ADVICE}")
    if mask.has_transparency_data:
        _refuse_transparency(mask)
    if mask.mode == "1":
        mask = mask.convert("L")
    if mask.mode in ("L", "P", "RGB"):
        return np.asarray(mask)
    if mask.mode in ("RGBX", "RGBA"):
        return np.asarray(mask)[..., :3]
    if mask.mode in ("LA", "PA"):
        return np.asarray(mask)[..., 0]
    if not mask.mode.startswith(("I", "F")):
        raise UnusableFile(f"mask: its mode {mask.mode} has no label values; {ADVICE}")
    values = np.asarray(mask)
    if not np.isfinite(values).all():
        raise UnusableFile(f"mask: some values are not finite; {ADVICE}")
    return values


def _refuse_transparency(mask: Image.Image) -> None:
    """Allowed is what looks the same without it, black being background."""
    if mask.mode.startswith("I"):
        return  # one value of 16 bits
    with guarded():
        *bands, alpha = np.moveaxis(np.asarray(mask.convert("RGBA")), -1, 0)
    lit, clear = np.any(bands, axis=0), alpha < 255
    if clear.any() and (lit[clear].any() or not lit.any()):
        raise UnusableFile(f"mask: it is partly transparent, so what is foreground is ambiguous; {ADVICE}")


def palette_colours(mask: Image.Image) -> np.ndarray:
    """The colour 0xRRGGBB of each index, ``int32 (256,)``."""
    with guarded():
        entries = np.frombuffer(bytes(mask.getpalette("RGB") or b""), np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(entries) // 3] = entries[: 256 * 3].reshape(-1, 3)
    return colour_codes(colours)


def colour_codes(colours: np.ndarray) -> np.ndarray:
    """``uint8 (..., 3)`` as 0xRRGGBB, ``int32 (...)``."""
    codes = colours[..., 0].astype(np.int32)
    for channel in (1, 2):
        codes <<= 8
        codes |= colours[..., channel]
    return codes


def _channels(codes: np.ndarray) -> np.ndarray:
    """0xRRGGBB as ``uint8 (..., 3)``."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)


def is_grey(colours: np.ndarray) -> bool:
    """Whether all pixels ``uint8 (..., 3)`` are grey, but for what lossy compression adds."""
    if not colours.size:
        return True
    red, green, blue = np.moveaxis(colours, -1, 0)
    darkest, brightest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    return bool((brightest - darkest).max() <= GREY_TOLERANCE * (int(brightest.max()) + 1))


def brightness(colours: np.ndarray) -> np.ndarray:
    """Grey pixels ``uint8 (..., 3)`` as one number, ``uint8 (...)``."""
    return colours[..., 1]


def is_lossy(image: Image.Image) -> bool:
    """Whether the compression of an opened file changes values."""
    if image.format == "WEBP":
        with open(image.filename, "rb") as file:
            return b"VP8L" not in file.read(WEBP_HEAD)  # the name of the part with lossless pixels
    return image.format in JPEG or image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")


def has_wide_colours(image: Image.Image) -> bool:
    """Whether an opened file has colours of 16 bits, of which Pillow reads the upper eight; raises UnusableFile."""
    with guarded():
        details = image.tile[0].args if image.tile else ""
        raw_mode = details if isinstance(details, str) else str(details[0])
    return image.mode.startswith("RGB") and "16" in raw_mode


def refuse_wide_colours(image: Image.Image) -> None:
    """Refuse an opened mask with colours of 16 bits; raises UnusableFile."""
    if has_wide_colours(image):
        raise UnusableFile(f"it has 16-bit colours; {ADVICE}")
