"""Images inside the page, as data addresses."""

import base64
import io
from pathlib import Path

from PIL import Image

from segkit.base.errors import InputError, brief


def encoded(image: Image.Image, quality: int = 78) -> str:
    """A photograph as WebP."""
    return _address(image.convert("RGB"), "WEBP", quality=quality, method=4)


def encoded_layer(image: Image.Image) -> str:
    """A palette image of few colours, one of them transparent, as PNG."""
    return _address(image, "PNG", optimize=True, transparency=0)


def shrunk(path: Path, side: int) -> Image.Image:
    """An image file, at most ``side`` pixels wide and high; raises InputError if it cannot be read."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image = image.convert("RGB")
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            return image
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read ({brief(error)}); run 'dvc repro' or 'dvc checkout'") from None


def _address(image: Image.Image, kind: str, **options: object) -> str:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
