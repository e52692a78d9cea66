"""Pictures as RGB and masks as label values, whatever mode, format or orientation their files have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.packed import IGNORED
from segkit.dataset.decode import JPEG, Frame, UnusableFile, decode, guarded

PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_BECOMES = {"foreground": 1, "background": 0, "ignore": IGNORED}

# Under 8 px there is nothing to see; beyond 32 to 1, of the longer side at most every 32nd pixel would be left at a
# network's square input, and the networks' coarsest level would be wider than the picture.
MIN_SIDE = 8
MAX_RATIO = 32
BRIGHTEST = 65535  # of 16 bits


def read_pair(picture: Path, mask: Path, size: tuple[int, int] | None = None) -> tuple[Image.Image, Image.Image]:
    """A picture as ``read_input`` reads it, and its mask as 8-bit values at the size of the whole picture.

    Raises UnusableFile where one cannot be read, is not fit to be a picture or a mask, or where their sizes differ.

    The picture is turned as its EXIF tag says, the mask as its own says, if it has one. A mask that fits the picture
    only as stored was drawn without looking at the tag, so then neither is turned; where both fit (half a turn,
    mirrored, or square) the mask is taken to be drawn on the picture as people see it.
    """
    try:
        seen, labels = _open(picture, "picture", _check_picture, size), _open(mask, "mask", _check_mask)
        if seen.upright_size == labels.upright_size:
            return _to_input(seen.upright(), size), to_values(labels.upright())
        if seen.size == labels.size:
            return _to_input(seen.image, size), to_values(labels.image)
    except MemoryError:
        raise UnusableFile("memory ran out") from None
    raise UnusableFile("the mask is {}x{}, the picture {}x{}".format(*labels.upright_size, *seen.upright_size))


def read_input(picture: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """A picture as a network sees it: the first frame, upright, as RGB, resized bilinearly to ``size`` (height, width).

    A JPEG is decoded at a half, a quarter or an eighth of its size, where that is no smaller than ``size``. Without a
    ``size`` it keeps its own. Raises UnusableFile.
    """
    try:
        return _to_input(_open(picture, "picture", _check_picture, size).upright(), size)
    except MemoryError:
        raise UnusableFile("memory ran out") from None


def read_mask(path: Path) -> Image.Image:
    """A mask's label values, as by ``to_values``, turned as its EXIF tag says; raises UnusableFile."""
    return to_values(_open(path, "mask", _check_mask).upright())


def _to_input(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    rgb = to_rgb(image)
    return rgb if size is None else rgb.resize(size[::-1], Image.Resampling.BILINEAR)


def _open(path: Path, role: str, check: Callable[[Image.Image], None], size: tuple[int, int] | None = None) -> Frame:
    try:
        return decode(path, check, size and size[::-1])
    except UnusableFile as fault:
        raise UnusableFile(f"{role}: {fault}") from None


def _check_picture(image: Image.Image) -> None:
    width, height = image.size
    if max(image.size) > MAX_RATIO * min(image.size):
        raise UnusableFile(f"{width}x{height} px is too narrow, one side is over {MAX_RATIO} times the other")
    if min(image.size) < MIN_SIDE:
        raise UnusableFile(f"{width}x{height} px is too small to hold a picture, a side needs {MIN_SIDE}")


def _check_mask(image: Image.Image) -> None:
    """Refuse what would give label values that nobody drew."""
    with guarded():
        frames = getattr(image, "n_frames", 1)
        details = image.tile[0].args if image.tile else ""
        raw_mode = details if isinstance(details, str) else str(details[0])
    if frames > 1:
        raise UnusableFile(f"it has {frames} frames; save one")
    if _is_lossy(image):
        raise UnusableFile("its compression is lossy, which changes values; draw it anew and save it as PNG")
    if image.mode.startswith("RGB") and "16" in raw_mode:
        raise UnusableFile("it has colours of 16 bits; save it as 8-bit grey")


def _is_lossy(image: Image.Image) -> bool:
    if image.format == "WEBP":
        return b"VP8L" not in Path(image.filename).read_bytes()  # the name of the part with lossless pixels
    return image.format in JPEG or image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency over white; grey of more than 8 bits scaled down to them.

    Whole numbers up to 255 are 8-bit values in a wider file, larger ones a share of 65535; of floats, those up to 1 are
    a share of 1. Raises UnusableFile where numbers are no brightness (NaN, infinite, negative, larger).
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _grey(image).convert("RGB")
    with guarded():
        if not image.has_transparency_data:
            return image.convert("RGB")
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, 32 bits or floats as mode L."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= BRIGHTEST:
        raise UnusableFile(f"picture: brightness from {low:g} to {high:g} means nothing, 0 to {BRIGHTEST} would")
    share = 255 if values.dtype.kind == "f" and high <= 1 else 255 / BRIGHTEST if high > 255 else 1
    scaled = np.multiply(values, share, dtype=np.float64)
    grey = np.round(scaled, out=scaled).astype(np.uint8)
    clear = image.info.get("transparency")
    return Image.fromarray(grey if not isinstance(clear, int) else np.where(values == clear, np.uint8(255), grey))


def to_values(labels: Image.Image) -> Image.Image:
    """A mask as mode L or P whose pixels are the label values: a palette's indices, not its colours, and of a mask in
    colour the largest channel, since luminance would make dark blue 0. What is not 0 to 255 becomes 255.

    Raises UnusableFile for modes without label values (CMYK, LAB, …), for numbers that are not whole, and for
    foreground that is transparent, so that nobody knows which of the two is meant.
    """
    if labels.mode in ("L", "P"):
        return labels
    if labels.mode in ("RGBA", "LA", "PA"):
        *bands, alpha = np.moveaxis(np.asarray(labels), -1, 0)
        if np.any(bands, axis=0)[alpha == 0].any():
            raise UnusableFile("mask: transparent pixels of it have a value other than 0; save it without transparency")
    if labels.mode in ("RGB", "RGBA", "RGBX"):
        return Image.fromarray(np.asarray(labels)[..., :3].max(axis=-1))
    if labels.mode in ("1", "LA", "PA"):
        return labels.convert("L") if labels.mode == "1" else labels.getchannel(0)
    if not labels.mode.startswith(("I", "F")):
        raise UnusableFile(f"mask: its mode {labels.mode} has no label values; save it as 8-bit grey")
    values = np.asarray(labels)
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and np.array_equal(values, np.rint(values))):
        raise UnusableFile("mask: its values are no whole numbers; save it as 8-bit grey")
    return Image.fromarray(np.where((values < 0) | (values > 255), 255, values).astype(np.uint8))


def trimap_to_mask(trimap: Image.Image, border: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Trimap values 1 pet, 2 background, 3 border, mode L or P, to ``uint8 (H, W)``: 1 foreground, 0 background,
    255 ignored; of ``size`` (width, height; nearest neighbour) instead of its own where given.

    ``border``: what 3 becomes (``foreground``, ``background`` or ``ignore``). Raises UnusableFile for other values, and
    for a trimap that is border only, unless that is background.
    """
    low, high = trimap.getextrema()
    if low < PET or high > BORDER:
        strange = np.setdiff1d(np.asarray(trimap), [PET, BACKGROUND, BORDER]).tolist()
        raise UnusableFile(f"the trimap holds values other than 1 (pet), 2 (background), 3 (border): {strange[:5]}")
    if low == BORDER and border != "background":
        raise UnusableFile("every pixel of the mask is border")
    meanings = np.zeros(BORDER + 1, np.uint8)
    meanings[[PET, BACKGROUND, BORDER]] = 1, 0, BORDER_BECOMES[border]
    return meanings[np.asarray(trimap.resize(size or trimap.size, Image.Resampling.NEAREST))]


def as_trimap(values: Image.Image) -> Image.Image:
    """A mask as a person drew it as a trimap without border: 0 background, anything else pet."""
    return values.point([BACKGROUND] + [PET] * 255, "L")


def is_empty(trimap: Image.Image, border: str) -> bool:
    """Whether no pixel of the trimap is foreground when border becomes ``border``."""
    low, high = trimap.getextrema()
    return low > PET and (border != "foreground" or high < BORDER)
