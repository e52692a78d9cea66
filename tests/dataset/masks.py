"""Masks of a user's own, stored in the ways that people store them, and what is read from them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from segkit.base.errors import InputError
from segkit.base.params import Folder
from segkit.dataset.decode import decode, opened
from segkit.dataset.mask_values import Found, examine, is_lossy, refuse_wide_colours
from segkit.dataset.meaning import Meaning, decide
from segkit.dataset.pictures import resolve_border
from tests.tiny import own_folder

Stored = dict[str, bytes]  # files by name


def truth(number: int, height: int = 40, width: int = 48) -> np.ndarray:
    """An ellipse, ``bool (height, width)``."""
    numbers = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    (cy, cx), (ry, rx) = numbers.uniform(0.4, 0.6, 2), numbers.uniform(0.2, 0.3, 2)
    return ((y / height - cy) / ry) ** 2 + ((x / width - cx) / rx) ** 2 < 1


def encoded(image: Image.Image | np.ndarray, image_format: str = "PNG", **options) -> bytes:
    """A file's bytes."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, image_format, **options)
    return buffer.getvalue()


def grey(mask: np.ndarray) -> Image.Image:
    """0 and 255."""
    return Image.fromarray(np.uint8(255) * mask)


def palette(indices: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    """Indices of a list of colours."""
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def look(folder: Path, stored: Stored) -> list[tuple[str, Found]]:
    """What each file holds."""
    found = []
    for name, content in stored.items():
        (folder / name).write_bytes(content)
        with opened(folder / name) as image:
            lossy = is_lossy(image)
        found.append((name, examine(decode(folder / name, refuse_wide_colours).image, lossy)))
    return found


def settings(**changes) -> Folder:
    """``data.folder`` with other keys."""
    return own_folder(Path("images"), Path("masks"), **changes)


def read(folder: Path, stored: Stored, border: str = "foreground", **changes) -> tuple[Meaning, list[np.ndarray]]:
    """The meaning of a set, and each mask with it."""
    meaning = decide(look(folder, stored), settings(**changes))
    masks = (meaning.mask(decode(folder / name).image) for name in stored)
    return meaning, [resolve_border(mask, border) for mask in masks]


def refusal(folder: Path, stored: Stored, **changes) -> str:
    """Why a set is refused: one line that is not long."""
    try:
        meaning, _ = read(folder, stored, **changes)
    except InputError as error:
        assert len(str(error)) < 700, error
        return str(error)
    raise AssertionError(f"read as {meaning}")


BLACK, WHITE, RED, BLUE, YELLOW = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 128), (253, 231, 37)


TRUTHS = [truth(number) for number in range(4)]


def numbers(mask: np.ndarray, low: float, high: float, dtype: type) -> Image.Image:
    return Image.fromarray(np.where(mask, high, low).astype(dtype))


def colours(mask: np.ndarray, dark: tuple[int, int, int], light: tuple[int, int, int]) -> Image.Image:
    return Image.fromarray(np.where(mask[..., None], light, dark).astype(np.uint8))


def resampled(mask: np.ndarray, **changes) -> Image.Image:
    """Soft edges, as an editor makes them."""
    large = np.kron(mask, np.ones((4, 4), bool))
    return grey(large).resize(mask.shape[::-1], Image.Resampling.LANCZOS, **changes)


def again(image: Image.Image, image_format: str, **options) -> Image.Image:
    """What is left after another format."""
    return Image.open(io.BytesIO(encoded(image, image_format, **options)))


def stored(make, masks=TRUTHS) -> Stored:
    return {f"m{number}": make(mask) for number, mask in enumerate(masks)}


# Each takes a truth, bool (h, w), and gives the bytes of a file from which the very same is to be read.
EXACT = {
    "0 and 1": lambda m: encoded(numbers(m, 0, 1, np.uint8)),
    "0 and 255": lambda m: encoded(grey(m)),
    "0 and 7": lambda m: encoded(numbers(m, 0, 7, np.uint8)),
    "254 and 255": lambda m: encoded(numbers(m, 254, 255, np.uint8)),
    "1 bit": lambda m: encoded(Image.fromarray(m)),
    "1 bit TIFF": lambda m: encoded(Image.fromarray(m), "TIFF", compression="group4"),
    "16 bits, 0 and 1": lambda m: encoded(numbers(m, 0, 1, np.uint16)),
    "16 bits, 0 and 65535": lambda m: encoded(numbers(m, 0, 65535, np.uint16)),
    "32 bits": lambda m: encoded(numbers(m, 0, 2**24 + 1, np.int32), "TIFF"),
    "floats 0 and 1": lambda m: encoded(numbers(m, 0, 1, np.float32), "TIFF"),
    "floats -1 and 1": lambda m: encoded(numbers(m, -1, 1, np.float32), "TIFF"),
    "floats, small": lambda m: encoded(numbers(m, 0, 1 / 3, np.float32), "TIFF"),
    "RGB grey": lambda m: encoded(grey(m).convert("RGB")),
    "RGB 0 and 1": lambda m: encoded(numbers(m, 0, 1, np.uint8).convert("RGB")),
    "RGBA opaque": lambda m: encoded(grey(m).convert("RGBA")),
    "LA opaque": lambda m: encoded(grey(m).convert("LA")),
    "RGBA, black is transparent": lambda m: encoded(Image.merge("RGBA", [grey(m)] * 4)),
    "grey, black is transparent": lambda m: encoded(grey(m), transparency=0),
    "palette, black first": lambda m: encoded(palette(m, BLACK, WHITE)),
    "palette, white first": lambda m: encoded(palette(~m, WHITE, BLACK)),
    "palette of nearly black and white": lambda m: encoded(palette(~m, (250, 252, 250), (4, 2, 3))),
    "palette of labels": lambda m: encoded(palette(m, BLACK, (128, 0, 0))),
    "palette, empty": lambda m: encoded(palette(m)),
    "palette, black last": lambda m: encoded(palette(~m, RED, BLACK)),
    "GIF of grey": lambda m: encoded(grey(m), "GIF"),
    "GIF of RGB": lambda m: encoded(grey(m).convert("RGB"), "GIF"),
    "GIF of a white palette": lambda m: encoded(palette(~m, WHITE, BLACK), "GIF"),
    "colours": lambda m: encoded(colours(m, BLACK, RED)),
    "dark blue on black": lambda m: encoded(colours(m, BLACK, BLUE)),
    "lossless WebP": lambda m: encoded(grey(m), "WEBP", lossless=True),
    "BMP": lambda m: encoded(grey(m), "BMP"),
    "PGM": lambda m: encoded(grey(m), "PPM"),
}


# ... from which nearly the same is to be read.
SOFT = {
    "resampled": lambda m: encoded(resampled(m)),
    "resampled, RGB": lambda m: encoded(resampled(m).convert("RGB")),
    "resampled, floats": lambda m: encoded(Image.fromarray(np.asarray(resampled(m), np.float32) / 255), "TIFF"),
    "resampled, 16 bits": lambda m: encoded(Image.fromarray(np.asarray(resampled(m), np.uint16) * 257)),
    "resampled GIF of grey": lambda m: encoded(resampled(m), "GIF"),
    "resampled GIF of RGB": lambda m: encoded(resampled(m).convert("RGB"), "GIF"),
    "resampled palette": lambda m: encoded(resampled(m).convert("P")),
    "JPEG": lambda m: encoded(grey(m), "JPEG", quality=85),
    "poor JPEG": lambda m: encoded(grey(m), "JPEG", quality=30),
    "colour JPEG": lambda m: encoded(grey(m).convert("RGB"), "JPEG"),
    "JPEG saved as PNG": lambda m: encoded(again(grey(m), "JPEG", quality=85)),
    "lossy WebP": lambda m: encoded(grey(m), "WEBP", quality=60),
    "nearly white": lambda m: encoded(np.where(m, 254 + truth(9), 0).astype(np.uint8)),
    "a little blurred": lambda m: encoded(grey(m).filter(ImageFilter.GaussianBlur(0.7))),
}
