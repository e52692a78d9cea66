"""Decode pictures and masks, whatever their file names promise."""

import math
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from segkit.labels import IGNORED

PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_BECOMES = {"foreground": 1, "background": 0, "ignore": IGNORED}


# Pillow warns of large pictures, which are refused here; set once, for filters are shared by all threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnusableFile(Exception):
    """A picture or mask that cannot be used; the message is the reason, without the file's name."""


def read_pair(picture: Path, mask: Path) -> tuple[Image.Image, Image.Image]:
    """Open a picture as RGB and its mask as 8-bit values, both of the same size; raises UnusableFile.

    The picture is turned as its EXIF tag says, the mask as its own says, if it has one. A mask that fits the picture
    only as stored was drawn without looking at the tag, so then neither is turned; where both fit (half a turn,
    mirrored, or square) the mask is taken to be drawn on the picture as people see it.
    """
    image, labels = _open(picture, "picture"), _open(mask, "mask")
    upright, upright_labels = ImageOps.exif_transpose(image), ImageOps.exif_transpose(labels)
    if upright.size != upright_labels.size and image.size == labels.size:
        upright, upright_labels = image, labels
    if upright.size != upright_labels.size:
        raise UnusableFile(
            f"the mask is {upright_labels.width}x{upright_labels.height}, the picture {upright.width}x{upright.height}"
        )
    return to_rgb(upright), to_values(upright_labels)


def _open(path: Path, role: str) -> Image.Image:
    try:
        return open_image(path)
    except UnusableFile as fault:
        raise UnusableFile(f"{role}: {fault}") from None


def open_image(path: Path) -> Image.Image:
    """Decode the whole of the file's first frame; its format is read from its bytes, not from its name."""
    try:
        image = Image.open(path)
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise Image.DecompressionBombError
        image.load()
    except FileNotFoundError:
        raise UnusableFile("no such file") from None
    except UnidentifiedImageError:
        raise UnusableFile("not a picture, or empty" if path.stat().st_size else "the file is empty") from None
    except Image.DecompressionBombError:
        raise UnusableFile(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise UnusableFile(f"cannot be decoded: {error}") from None
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


def trimap_to_mask(trimap: np.ndarray, border: str) -> np.ndarray:
    """Trimap values 1 pet, 2 background, 3 border, ``uint8 (H, W)``, to 1 foreground, 0 background, 255 ignored.

    ``border``: what 3 becomes (``foreground``, ``background`` or ``ignore``). Raises UnusableFile for other values.
    """
    table = np.full(256, 254, np.uint8)
    table[[PET, BACKGROUND, BORDER]] = [1, 0, BORDER_BECOMES[border]]
    mask = table[trimap]
    if (mask == 254).any():
        strange = sorted(int(value) for value in np.unique(trimap[mask == 254]))
        raise UnusableFile(f"the trimap holds values other than 1 (pet), 2 (background), 3 (border): {strange[:5]}")
    return mask
