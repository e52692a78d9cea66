"""Decode pictures and masks, whatever their file names promise."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from segkit.metrics import IGNORED

PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_BECOMES = {"foreground": 1, "background": 0, "ignore": IGNORED}


class UnusableFile(Exception):
    """A picture or mask that cannot be used; the message is the reason, without the file's name."""


def read_pair(picture: Path, mask: Path) -> tuple[Image.Image, Image.Image]:
    """Open a picture as RGB and its mask as 8-bit values, both of the same size; raises UnusableFile.

    EXIF orientation turns both. A mask that fits the picture only as stored was drawn without looking at
    the orientation, so then neither is turned.
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            image = Image.open(path)
            image.load()
    except FileNotFoundError:
        raise UnusableFile("no such file") from None
    except UnidentifiedImageError:
        raise UnusableFile("not a picture, or empty" if path.stat().st_size else "the file is empty") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
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
    """A mask as mode L whose pixels are the label values: a palette's indices, not its colours."""
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
