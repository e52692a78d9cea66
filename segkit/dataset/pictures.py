"""Images as RGB and masks as label values, whatever mode, format or orientation their files have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.packed import IGNORED
from segkit.dataset.decode import JPEG, Frame, UnusableFile, decode, guarded

PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_BECOMES = {"foreground": 1, "background": 0, "ignore": IGNORED}

# Under 8 px there is nothing to see. Beyond 32:1 a square network input keeps at most every 32nd pixel of the longer
# side, and the network's coarsest level would be wider than the image.
MIN_SIDE = 8
MAX_RATIO = 32
BRIGHTEST = 65535  # of 16 bits


def read_pair(picture: Path, mask: Path, size: tuple[int, int] | None = None) -> tuple[Image.Image, Image.Image]:
    """An image as RGB at network size, and its mask as 8-bit label values at the image's full size.

    The image is its first frame, upright, as RGB, resized bilinearly to ``size`` (height, width) if given. A JPEG is
    decoded at a half, a quarter or an eighth of its size, if that is no smaller than ``size``.

    The image is rotated by its EXIF tag, the mask by its own, if it has one. If their sizes match only as stored, the
    mask was drawn on the stored pixels, so neither is rotated; if both match (half a turn, mirrored, or square), the
    mask is assumed to be drawn on the upright image. Raises UnusableFile if a file cannot be read or the sizes differ.
    """
    try:
        seen, labels = _open(picture, "image", _check_picture, size), _open(mask, "mask", _check_mask)
        if seen.upright_size == labels.upright_size:
            return _to_input(seen.upright(), size), to_values(labels.upright())
        if seen.size == labels.size:
            return _to_input(seen.image, size), to_values(labels.image)
    except MemoryError:
        raise UnusableFile("memory ran out") from None
    raise UnusableFile("the mask is {}x{}, the image {}x{}".format(*labels.upright_size, *seen.upright_size))


def read_mask(path: Path) -> Image.Image:
    """A mask's label values (``to_values``), rotated by its EXIF tag; raises UnusableFile."""
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
        raise UnusableFile(f"{width}x{height} px is too small, a side needs {MIN_SIDE}")


def _check_mask(image: Image.Image) -> None:
    """Refuse files whose decoded values are not the labels that were drawn."""
    with guarded():
        details = image.tile[0].args if image.tile else ""
        raw_mode = details if isinstance(details, str) else str(details[0])
        several = _has_second_frame(image)
    if several:
        raise UnusableFile("it has several frames; save one")
    if _is_lossy(image):
        raise UnusableFile("its compression is lossy, which changes label values; draw it again and save it as PNG")
    if image.mode.startswith("RGB") and "16" in raw_mode:
        raise UnusableFile("it has 16-bit colours; save it as 8-bit greyscale")


def _has_second_frame(image: Image.Image) -> bool:
    """``n_frames`` would visit every frame."""
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _is_lossy(image: Image.Image) -> bool:
    if image.format == "WEBP":
        return b"VP8L" not in Path(image.filename).read_bytes()  # the name of the part with lossless pixels
    return image.format in JPEG or image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency over white; grey of more than 8 bits scaled to 8.

    Integers up to 255 are taken as 8-bit values, larger ones as 16-bit values; floats up to 1 as shares of 1. Raises
    UnusableFile for other numbers (NaN, infinite, negative, larger).
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
        raise UnusableFile(f"image: brightness from {low:g} to {high:g} is outside 0 to {BRIGHTEST}")
    share = 255 if values.dtype.kind == "f" and high <= 1 else 255 / BRIGHTEST if high > 255 else 1
    scaled = np.multiply(values, share, dtype=np.float64)
    grey = np.round(scaled, out=scaled).astype(np.uint8)
    clear = image.info.get("transparency")
    return Image.fromarray(grey if not isinstance(clear, int) else np.where(values == clear, np.uint8(255), grey))


def to_values(labels: Image.Image) -> Image.Image:
    """A mask as mode L or P whose pixels are the label values: a palette's indices, not its colours; of a colour mask
    the largest channel, because luminance turns dark blue into 0. Values outside 0 to 255 become 255.

    Raises UnusableFile for modes without label values (CMYK, LAB), for fractions, and for foreground that is
    transparent, which is ambiguous.
    """
    if labels.mode in ("L", "P"):
        return labels
    if labels.mode in ("RGBA", "LA", "PA"):
        *bands, alpha = np.moveaxis(np.asarray(labels), -1, 0)
        if np.any(bands, axis=0)[alpha == 0].any():
            raise UnusableFile("mask: some transparent pixels have a value other than 0; save it without transparency")
    if labels.mode in ("RGB", "RGBA", "RGBX"):
        return Image.fromarray(np.asarray(labels)[..., :3].max(axis=-1))
    if labels.mode in ("1", "LA", "PA"):
        return labels.convert("L") if labels.mode == "1" else labels.getchannel(0)
    if not labels.mode.startswith(("I", "F")):
        raise UnusableFile(f"mask: its mode {labels.mode} has no label values; save it as 8-bit greyscale")
    values = np.asarray(labels)
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and np.array_equal(values, np.rint(values))):
        raise UnusableFile("mask: its values are not whole numbers; save it as 8-bit greyscale")
    return Image.fromarray(np.where((values < 0) | (values > 255), 255, values).astype(np.uint8))


def trimap_to_mask(trimap: Image.Image, border: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Trimap values 1 pet, 2 background, 3 border, mode L or P, to ``uint8 (H, W)``: 1 foreground, 0 background,
    255 ignored; resized to ``size`` (width, height; nearest neighbour) if given.

    ``border``: what 3 becomes (``foreground``, ``background`` or ``ignore``). Raises UnusableFile for other values, and
    for a trimap that is border only, unless that is background.
    """
    low, high = trimap.getextrema()
    if low < PET or high > BORDER:
        others = np.setdiff1d(np.asarray(trimap), [PET, BACKGROUND, BORDER]).tolist()
        raise UnusableFile(f"the trimap holds values other than 1 (pet), 2 (background), 3 (border): {others[:5]}")
    if low == BORDER and border != "background":
        raise UnusableFile("every pixel of the mask is border")
    meanings = np.zeros(BORDER + 1, np.uint8)
    meanings[[PET, BACKGROUND, BORDER]] = 1, 0, BORDER_BECOMES[border]
    return meanings[np.asarray(trimap.resize(size or trimap.size, Image.Resampling.NEAREST))]


def as_trimap(values: Image.Image) -> Image.Image:
    """A mask of a user's own folder as a trimap without border: 0 background, anything else pet."""
    return values.point([BACKGROUND] + [PET] * 255, "L")


def is_empty(trimap: Image.Image, border: str) -> bool:
    """Whether no pixel of the trimap is foreground when border becomes ``border``."""
    low, high = trimap.getextrema()
    return low > PET and (border != "foreground" or high < BORDER)
