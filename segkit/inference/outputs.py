"""The files that ``segkit predict`` writes for each image, and how it knows its own."""

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import segkit
from segkit.base.errors import InputError, brief
from segkit.base.files import atomic_write
from segkit.dataset.decode import UnusableFile
from segkit.dataset.pictures import read_image
from segkit.inference import marks
from segkit.inference.cutout import cut_out
from segkit.inference.drawing import draw_overlay
from segkit.inference.finding import Found
from segkit.inference.model import Prediction

LEVEL = 1  # of compression: masks are small at any level
# The name of a file is at fault, not the disk: too long, or a folder where a file should be, or the reverse.
NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@dataclass(frozen=True)
class Outputs:
    """What to write below ``folder``. ``made_by``: stands for the model and the settings. ``threshold``: from where on
    a pixel is foreground. ``scale``: how images of more than 8 bits are read (see ``Model``). ``probability``: 8 or 16
    bits, or 0 for none."""

    folder: Path
    made_by: str
    threshold: float
    scale: tuple[float, float] | None = None
    overlay: bool = False
    cutout: bool = False
    probability: int = 0
    json: bool = False

    def paths(self, place: str) -> dict[str, Path]:
        """The files of one image, by kind; the mask is last, and written last."""
        kinds = [kind for kind in ("overlay", "cutout", "probability") if getattr(self, kind)]
        paths = {kind: self.folder / f"{place}_{kind}.png" for kind in kinds}
        paths |= {"json": self.folder / f"{place}.json"} if self.json else {}
        return paths | {"mask": self.folder / f"{place}_mask.png"}

    def refuse_sources(self, images: Sequence[Found]) -> None:
        """Raise InputError if a file to write is one of the images."""
        sources = {os.path.realpath(image.path) for image in images}
        for image in images:
            for path in self.paths(image.place).values():
                if os.path.exists(path) and os.path.realpath(path) in sources:
                    raise InputError(f"{brief(path, 300)} is itself one of the images; choose another folder for --out")

    def done(self, image: Found) -> bool:
        """Whether all files of the image are there, made of the same file by the same model and settings."""
        try:
            digits = self._digits(image)
        except UnusableFile:
            return False
        return all(marks.read(path) == digits for path in self.paths(image.place).values())

    def _digits(self, image: Found) -> str:
        """What the mark of an image's results says; another after the image was changed. Raises UnusableFile."""
        try:
            status = image.path.stat()
        except OSError as error:
            raise UnusableFile(f"cannot be read: {error.strerror}") from None
        made_of = self.made_by, os.fspath(image.path), status.st_size, status.st_mtime_ns
        return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]

    def write(self, image: Found, prediction: Prediction, ms: float) -> None:
        """Write the files of one image. ``ms``: milliseconds that its prediction took.

        Raises UnusableFile if a file is there that this command did not write, or cannot be for its name, and if the
        image was changed meanwhile.
        """
        paths = self.paths(image.place)
        try:
            for path in paths.values():
                if os.path.lexists(path) and not marks.read(path):
                    raise UnusableFile(
                        f"{brief(path, 300)} is there and not by 'segkit predict'; move it, or change --out"
                    )
            self._write(image, paths, self._digits(image), prediction, ms)
        except OSError as error:
            if error.errno in NAMES:
                raise UnusableFile(f"{brief(error.filename, 300)} cannot be written: {error.strerror}") from None
            raise

    def _write(self, image: Found, paths: dict[str, Path], digits: str, prediction: Prediction, ms: float) -> None:
        mask, probabilities = prediction  # what takes least memory first: freed memory is not always given back
        if self.probability:
            _save(Image.fromarray(_quantized(probabilities, self.probability)), paths["probability"], digits)
        if self.json:
            found = {"made_by": marks.text(digits), "image": os.fspath(image.path)}
            found |= describe(prediction) | {"threshold": self.threshold, "milliseconds": round(ms, 2)}
            with atomic_write(paths["json"], "w", durable=False, encoding="utf-8") as file:
                file.write(json.dumps(found, indent=2) + "\n")
        if self.overlay:
            _save(self._overlay(image, mask), paths["overlay"], digits)
        if self.cutout:
            _save(self._cutout(image, probabilities), paths["cutout"], digits)
        _save(Image.fromarray(mask * np.uint8(255)), paths["mask"], digits)

    def _overlay(self, image: Found, mask: np.ndarray) -> Image.Image:
        picture = self._picture(image, mask)
        draw_overlay(picture, mask)
        return picture

    def _cutout(self, image: Found, probabilities: np.ndarray) -> Image.Image:
        picture = self._picture(image, probabilities)
        cut_out(picture, probabilities, self.threshold)
        return picture

    def _picture(self, image: Found, like: np.ndarray) -> Image.Image:
        """Read again for each kind, since two copies of a large image may not fit into memory."""
        picture, _ = read_image(image.path, scale=self.scale)
        if picture.size != like.shape[::-1]:
            raise UnusableFile("it was changed during its prediction")
        return picture


def _save(image: Image.Image, path: Path, digits: str) -> None:
    text = PngInfo()
    text.add_text("Software", f"{marks.text(digits)} (segkit {segkit.__version__})")
    with atomic_write(path, durable=False) as file:
        image.save(file, format="PNG", compress_level=LEVEL, pnginfo=text)


def _quantized(probabilities: np.ndarray, bits: int) -> np.ndarray:
    """``uint8`` or ``uint16 (h, w)``, 1 as the largest value; line by line, for the whole as floats is large."""
    kind = np.uint8 if bits == 8 else np.uint16
    values = np.empty(probabilities.shape, kind)
    for line, result in zip(probabilities, values, strict=True):
        result[:] = np.rint(line * np.float32(np.iinfo(kind).max))
    return values


def describe(prediction: Prediction) -> dict[str, Any]:
    """``width``, ``height``; ``foreground``: its share of the pixels; ``box``: left, top, right, bottom of the
    foreground in pixels, right and bottom exclusive, or null; ``confidence``: the mean over all pixels of the
    probability of the predicted class."""
    mask, probabilities = prediction
    height, width = mask.shape
    lines, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = [int(columns[0]), int(lines[0]), int(columns[-1]) + 1, int(lines[-1]) + 1] if len(lines) else None
    inside = probabilities.sum(where=mask, dtype=np.float64)
    outside = probabilities.sum(dtype=np.float64) - inside
    certain = inside + np.count_nonzero(~mask) - outside
    return {
        "width": width,
        "height": height,
        "foreground": round(float(mask.mean()), 6),
        "box": box,
        "confidence": round(float(certain / mask.size), 6),
    }
