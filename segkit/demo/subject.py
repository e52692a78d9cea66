"""A picture that a network has seen. It is drawn at any threshold without running the network again."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.errors import InputError
from segkit.dataset.decode import UnusableFile
from segkit.dataset.pictures import read_image
from segkit.inference.cutout import cutout
from segkit.inference.drawing import overlay
from segkit.inference.model import Model

KINDS = ("overlay", "mask", "cutout")
ONE = 65535
PREVIEW = 960  # px of the longer side: a panel of the page on a screen of two pixels per point


@dataclass(frozen=True)
class View:
    """An RGB image and its foreground probabilities, ``uint16 (h, w)``: 65,535 is 1."""

    image: Image.Image
    probabilities: np.ndarray

    def draw(self, kind: str, threshold: float) -> Image.Image:
        """``overlay`` as RGB, ``mask`` as L (0 and 255) or ``cutout`` as RGBA, at the image's size."""
        mask = _reach(self.probabilities, threshold)
        if kind == "mask":
            return Image.fromarray(mask * np.uint8(255))
        if kind == "overlay":
            return overlay(self.image, mask)
        return cutout(self.image, self.probabilities / np.float32(ONE), threshold)


@dataclass(frozen=True)
class Subject:
    """What a session keeps of its last picture: the file, probabilities as in ``View``, and a small view of both."""

    path: Path
    scale: tuple[float, float] | None  # see segkit.dataset.pictures
    probabilities: np.ndarray
    preview: View
    milliseconds: float

    def share(self, threshold: float) -> float:
        """Share of foreground pixels, 0 to 1."""
        return np.count_nonzero(_reach(self.probabilities, threshold)) / self.probabilities.size

    def write(self, kind: str, threshold: float, folder: Path) -> Path:
        """Draw at the picture's own size, as ``folder/NAME_KIND.png``. Raises InputError if the picture is gone."""
        view = View(_read(self.path, self.scale), self.probabilities)
        path = folder / f"{self.path.stem}_{kind}.png"
        view.draw(kind, threshold).save(path, compress_level=1)
        return path


def analyse(model: Model, path: Path) -> Subject:
    """Run the network on a picture. Raises InputError, with the file's name, for one that cannot be used."""
    started = time.perf_counter()
    try:
        probabilities = model.predict(path).probabilities
    except InputError as error:
        raise _unusable(path, str(error).removeprefix(f"{path}: ")) from None
    milliseconds = 1000 * (time.perf_counter() - started)
    image = _read(path, model.scale, (PREVIEW, PREVIEW))
    image.thumbnail((PREVIEW, PREVIEW))
    small = np.asarray(Image.fromarray(probabilities).resize(image.size, Image.Resampling.BILINEAR))
    return Subject(path, model.scale, _packed(probabilities), View(image, _packed(small)), milliseconds)


def _packed(probabilities: np.ndarray) -> np.ndarray:
    return np.rint(probabilities * ONE).astype(np.uint16)


def _reach(packed: np.ndarray, threshold: float) -> np.ndarray:
    return packed >= math.ceil(threshold * ONE)


def _read(path: Path, scale: tuple[float, float] | None, size: tuple[int, int] | None = None) -> Image.Image:
    try:
        return read_image(path, size, scale)[0]
    except UnusableFile as fault:
        raise _unusable(path, str(fault)) from None


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(f"{path.name} cannot be used: {reason}.")
