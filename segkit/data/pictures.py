"""Decode pictures and masks, whatever their file names promise."""

import math
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from segkit.labels import IGNORED

PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_BECOMES = {"foreground": 1, "background": 0, "ignore": IGNORED}


# Pillow warns of large pictures, which are refused here; set once, for filters are shared by all threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnusableFile(Exception):
    """A picture or mask that cannot be used; the message is the reason, without the file's name."""


def read_pair(picture: Path, mask: Path, at_least: tuple[int, int] | None = None) -> tuple[Image.Image, Image.Image]:
    """Open a picture as RGB and its mask as 8-bit values; raises UnusableFile where their sizes differ.

    The picture is turned as its EXIF tag says, the mask as its own says, if it has one. A mask that fits the picture
    only as stored was drawn without looking at the tag, so then neither is turned; where both fit (half a turn,
    mirrored, or square) the mask is taken to be drawn on the picture as people see it.

    ``at_least``: a width and height that are enough. A JPEG is then decoded at a half, a quarter or an eighth of its
    size, where that is no smaller; the mask always comes at the size of the whole picture.
    """
    image, size = _open(picture, "picture", at_least)
    labels, labels_size = _open(mask, "mask")
    if _upright_size(image, size) == _upright_size(labels, labels_size) or size != labels_size:
        size, labels_size = _upright_size(image, size), _upright_size(labels, labels_size)
        image, labels = _upright(image), _upright(labels)
    if size != labels_size:
        raise UnusableFile("the mask is {}x{}, the picture {}x{}".format(*labels_size, *size))
    return to_rgb(image), to_values(labels)


def open_image(path: Path) -> Image.Image:
    """Decode the whole of the file's first frame; its format is read from its bytes, not from its name."""
    return _decode(path)[0]


def _open(path: Path, role: str, at_least: tuple[int, int] | None = None) -> tuple[Image.Image, tuple[int, int]]:
    try:
        return _decode(path, at_least)
    except UnusableFile as fault:
        raise UnusableFile(f"{role}: {fault}") from None


def _decode(path: Path, at_least: tuple[int, int] | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """The decoded frame as stored, and the size it has in the file."""
    try:
        image = Image.open(path)
        size = image.size
        if math.prod(size) > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise Image.DecompressionBombError
        if at_least is not None:
            image.draft(None, at_least[::-1] if _is_sideways(image) else at_least)
        image.load()
        return image, size
    except FileNotFoundError:
        raise UnusableFile("no such file") from None
    except UnidentifiedImageError:
        raise UnusableFile("not a picture, or empty" if path.stat().st_size else "the file is empty") from None
    except Image.DecompressionBombError:
        raise UnusableFile(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise UnusableFile(f"cannot be decoded: {error}") from None


def _is_sideways(image: Image.Image) -> bool:
    """Whether its EXIF tag turns it by a quarter."""
    return image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)


def _upright_size(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    return size[::-1] if _is_sideways(image) else size


def _upright(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency over white, 16-bit and wider grey scaled down to 8 bits."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        scale = 255 / 65535 if values.max() > 255 else 1.0
        return Image.fromarray((values.clip(0) * scale).clip(max=255).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def to_values(labels: Image.Image) -> Image.Image:
    """A mask as mode L or P whose pixels are the label values: a palette's indices, not its colours, and of a mask in
    colour the largest channel, since luminance would make dark blue 0."""
    if labels.mode in ("RGB", "RGBA"):
        return Image.fromarray(np.asarray(labels)[..., :3].max(axis=-1))
    return labels if labels.mode in ("L", "P") else labels.convert("L")


def trimap_to_mask(trimap: Image.Image, border: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Trimap values 1 pet, 2 background, 3 border, mode L or P, to ``uint8 (H, W)``: 1 foreground, 0 background,
    255 ignored; of ``size`` (width, height; nearest neighbour) instead of its own where given.

    ``border``: what 3 becomes (``foreground``, ``background`` or ``ignore``). Raises UnusableFile for other values.
    """
    low, high = trimap.getextrema()
    if low < PET or high > BORDER:
        strange = np.setdiff1d(np.asarray(trimap), [PET, BACKGROUND, BORDER]).tolist()
        raise UnusableFile(f"the trimap holds values other than 1 (pet), 2 (background), 3 (border): {strange[:5]}")
    meanings = np.zeros(BORDER + 1, np.uint8)
    meanings[[PET, BACKGROUND, BORDER]] = 1, 0, BORDER_BECOMES[border]
    return meanings[np.asarray(trimap.resize(size or trimap.size, Image.Resampling.NEAREST))]
