"""Images as RGB and masks as 0, 1, 2 and 255, whatever mode, format or orientation their files have."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from segkit.base.packed import BACKGROUND, BORDER, BORDER_BECOMES, FOREGROUND, IGNORED
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import Frame, UnusableFile, decode, guarded, has_page
from segkit.dataset.mask_values import is_lossy, refuse_wide_colours

TRIMAP = {1: FOREGROUND, 2: BACKGROUND, 3: BORDER}
TRIMAPS = "trimaps: 1 is foreground, 2 background, 3 border"

# Under 8 px there is nothing to see. Beyond 32:1 a square network input keeps at most every 32nd pixel of the longer
# side, and the network's coarsest level would be wider than the image.
MIN_SIDE = 8
MAX_RATIO = 32
STRIP = 256  # rows


class Masks(Protocol):
    """How the masks of a set are read."""

    def check(self, image: Image.Image) -> None:
        """Refuse an opened mask whose decoded values would not be those that were drawn; raises UnusableFile."""

    def mask(self, image: Image.Image) -> np.ndarray:
        """A decoded mask as ``uint8 (h, w)``: 0 background, 1 foreground, 2 the border of trimaps, 255 ignored; raises
        UnusableFile."""

    def summary(self) -> dict[str, Any]:
        """What the values mean, as JSON types."""


class Trimaps:
    """Masks of Oxford-IIIT Pet."""

    def check(self, image: Image.Image) -> None:
        """Refuse several frames, lossy compression and 16-bit colours."""
        refuse_wide_colours(image)
        if has_page(image, 1):
            raise UnusableFile("it has several frames; save one")
        if is_lossy(image):
            raise UnusableFile("its compression is lossy, which changes label values; draw it again and save it as PNG")

    def mask(self, image: Image.Image) -> np.ndarray:
        """1 pet, 2 background, 3 border as ``uint8 (h, w)`` of 0, 1, 2."""
        return trimap_to_mask(to_values(image))

    def summary(self) -> dict[str, Any]:
        """What the values mean, as JSON types."""
        return {"unit": "trimap", "words": TRIMAPS}


@dataclass(frozen=True)
class Reading:
    """How the files of a set are read.

    ``border``: what the border of trimaps becomes, ``foreground``, ``background`` or ``ignore``. ``scale``: the values
    of images of more than 8 bits that become 0 and 255.
    """

    masks: Masks
    border: str
    scale: tuple[float, float] | None = None


def read_pair(sample: Sample, reading: Reading, size: tuple[int, int] | None = None) -> tuple[Image.Image, np.ndarray]:
    """The image as RGB and its mask as ``uint8 (h, w)`` of 0, 1, 2, 255 at the image's full size, both upright;
    ``resolve_border`` gives the 2 its meaning.

    A JPEG is decoded at a half, a quarter or an eighth of its size, if that is no smaller than ``size`` (height,
    width). Of several masks, a pixel is foreground if it is in one of them, else border, else ignored.

    The image is rotated by its EXIF tag, the mask by its own, if it has one. If their sizes match only as stored, the
    mask was drawn on the stored pixels, so neither is rotated; if both match (half a turn, mirrored, or square), the
    mask is assumed to be drawn on the upright image. Raises UnusableFile if a file cannot be read or the sizes differ.
    """
    try:
        seen = _open(sample.picture, "image", _check_picture, size, sample.page)
        labels = [_open(path, "mask", reading.masks.check, page=sample.page) for path in sample.masks]
        for frame in labels:
            if frame.upright_size != seen.upright_size and frame.size != seen.size:
                sizes = (*frame.upright_size, *seen.upright_size)
                raise UnusableFile("the mask is {}x{}, the image {}x{}".format(*sizes))
        upright = all(frame.upright_size == seen.upright_size for frame in labels)
        if not upright and any(frame.size != seen.size for frame in labels):
            raise UnusableFile("some of its masks are drawn on the rotated image, others on the stored one")
        image = to_rgb(seen.upright() if upright else seen.image, reading.scale)
        return image, _united([reading.masks.mask(frame.upright() if upright else frame.image) for frame in labels])
    except MemoryError:
        raise UnusableFile("memory ran out") from None


def read_image(
    path: Path,
    size: tuple[int, int] | None = None,
    scale: tuple[float, float] | None = None,
    check: Callable[[Image.Image], None] = lambda image: None,
) -> tuple[Image.Image, tuple[int, int]]:
    """An image without a mask, as ``read_pair`` reads it (RGB, upright, perhaps at reduced scale), and its full width
    and height.

    ``check`` sees the opened file before its pixels are decoded, and may raise. Grey of 16 bits without ``scale`` is
    black at 0 and white at 65,535. Raises UnusableFile.
    """
    try:
        frame = decode(path, check, size and size[::-1])
        return to_rgb(frame.upright(), scale or full_range(frame.image)), frame.upright_size
    except MemoryError:
        raise UnusableFile("memory ran out") from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # not the file's fault
            raise
        raise UnusableFile(f"cannot be read: {error.strerror}") from None


def full_range(image: Image.Image) -> tuple[float, float] | None:
    """What a 16-bit file can hold; of 32 bits and floats the darkest and brightest values are not known."""
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    return (0.0, 65535.0) if sixteen_bits else None


def _united(masks: list[np.ndarray]) -> np.ndarray:
    if len(masks) == 1:
        return masks[0]
    united = np.full_like(masks[0], BACKGROUND)
    for value in (IGNORED, BORDER, FOREGROUND):
        united[np.any([mask == value for mask in masks], axis=0)] = value
    return united


def _open(
    path: Path,
    role: str,
    check: Callable[[Image.Image], None],
    size: tuple[int, int] | None = None,
    page: int = 0,
) -> Frame:
    try:
        return decode(path, check, size and size[::-1], page)
    except UnusableFile as fault:
        raise UnusableFile(f"{role}: {fault}") from None


def _check_picture(image: Image.Image) -> None:
    width, height = image.size
    if max(image.size) > MAX_RATIO * min(image.size):
        raise UnusableFile(f"{width}x{height} px is too narrow, one side is over {MAX_RATIO} times the other")
    if min(image.size) < MIN_SIDE:
        raise UnusableFile(f"{width}x{height} px is too small, a side needs {MIN_SIDE}")


def to_rgb(image: Image.Image, scale: tuple[float, float] | None = None) -> Image.Image:
    """Any mode as RGB: transparency over white, but a fourth band of a TIFF is left out, since it may be anything.

    ``scale``: the values of grey of more than 8 bits that become black and white. Raises UnusableFile for such grey
    without a scale, or with values that are not finite.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _grey(image, scale).convert("RGB")
    with guarded():
        if image.mode == "RGBA" and hasattr(image, "tag_v2"):
            return Image.merge("RGB", image.split()[:3])
        if not image.has_transparency_data:
            return image.convert("RGB")
        rgba, rgb = image.convert("RGBA"), Image.new("RGB", image.size)
        for top in range(0, image.height, STRIP):  # the whole at once would take four times the memory
            strip = rgba.crop((0, top, image.width, min(top + STRIP, image.height)))
            rgb.paste(Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert("RGB"), (0, top))
        return rgb


def _grey(image: Image.Image, scale: tuple[float, float] | None) -> Image.Image:
    """Grey of 16 bits, 32 bits or floats as mode L."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnusableFile("image: some values are not finite")
    if scale is None:
        raise UnusableFile("image: it has more than 8 bits per value; save it with 8, or use data.source: folder")
    low, high = scale
    grey = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), STRIP):  # the whole as 64-bit floats would take eight times the memory
        scaled = (values[start : start + STRIP].astype(np.float64) - low) * (255 / (high - low))
        grey[start : start + STRIP] = np.round(scaled.clip(0, 255))
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


def trimap_to_mask(trimap: Image.Image) -> np.ndarray:
    """Trimap values 1 pet, 2 background, 3 border, mode L or P, to ``uint8 (H, W)``: 1 foreground, 0 background,
    2 border. Raises UnusableFile for other values."""
    low, high = trimap.getextrema()
    if low < min(TRIMAP) or high > max(TRIMAP):
        others = np.setdiff1d(np.asarray(trimap), list(TRIMAP)).tolist()
        raise UnusableFile(f"the trimap holds values other than 1 (pet), 2 (background), 3 (border): {others[:5]}")
    meanings = np.zeros(max(TRIMAP) + 1, np.uint8)
    meanings[list(TRIMAP)] = list(TRIMAP.values())
    return meanings[np.asarray(trimap)]


def resolve_border(mask: np.ndarray, border: str) -> np.ndarray:
    """A mask ``uint8 (h, w)`` of 0, 1, 2, 255 as 0, 1, 255; ``border``: what the 2 becomes.

    Raises UnusableFile for a mask that is border only, unless that is background.
    """
    edge = mask == BORDER
    if border != "background" and edge.all():
        raise UnusableFile("every pixel of the mask is border")
    return np.where(edge, np.uint8(BORDER_BECOMES[border]), mask) if edge.any() else mask
