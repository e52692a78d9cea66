"""Masks of a user's own, stored in the ways that people store them, and what is read from them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.params import Folder
from segkit.dataset.decode import decode, opened
from segkit.dataset.mask_values import Found, examine, is_lossy, refuse_wide_colours
from segkit.dataset.meaning import Meaning, decide
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
    meaning = decide(look(folder, stored), settings(**changes), border)
    return meaning, [meaning.mask(decode(folder / name).image) for name in stored]


def refusal(folder: Path, stored: Stored, **changes) -> str:
    """Why a set is refused: one line that is not long."""
    try:
        meaning, _ = read(folder, stored, **changes)
    except InputError as error:
        assert len(str(error)) < 700, error
        return str(error)
    raise AssertionError(f"read as {meaning}")
