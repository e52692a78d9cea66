"""The files that ``segkit predict`` writes for each image, and how it knows its own."""

import json
import re
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
from segkit.inference.cutout import cutout
from segkit.inference.drawing import overlay
from segkit.inference.finding import Found
from segkit.inference.model import Prediction

HEAD = 400  # bytes of a file, among which the mark is
MARK = re.compile(rb"segkit predict ([0-9a-f]{16})")
LEVEL = 1  # of compression: masks are small at any level


@dataclass(frozen=True)
class Outputs:
    """What to write below ``folder``. ``probability``: 8 or 16 bits, or 0 for none. ``made_by``: 16 hexadecimal digits
    that stand for the model and the settings, which every file holds."""

    folder: Path
    made_by: str
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

    def refuse_sources(self, images: list[Found]) -> None:
        """Raise InputError if a file to write is one of the images."""
        sources = {image.path.resolve() for image in images}
        for image in images:
            for path in self.paths(image.place).values():
                if path.resolve() in sources:
                    raise InputError(f"{brief(path, 300)} is itself one of the images; choose another folder for --out")

    def done(self, image: Found) -> bool:
        """Whether all files of the image are there, made by the same model and settings after the image was changed."""
        paths = list(self.paths(image.place).values())
        if not all(_mark(path) == self.made_by for path in paths):
            return False
        changed = image.path.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns >= changed for path in paths)

    def write(
        self,
        image: Found,
        prediction: Prediction,
        threshold: float,
        ms: float,
        scale: tuple[float, float] | None = None,
    ) -> None:
        """Write the files of one image. ``ms``: milliseconds that its prediction took. ``scale``: how its values are
        read. Raises UnusableFile if a file is there that this command did not write."""
        paths = self.paths(image.place)
        for path in paths.values():
            if path.exists() and not _mark(path):
                raise UnusableFile(f"{brief(path, 300)} is there and not by 'segkit predict'; move it, or change --out")
        mask, probabilities = prediction
        if self.overlay or self.cutout:
            picture, _ = read_image(image.path, scale=scale)
            if self.overlay:
                self._save(overlay(picture, mask), paths["overlay"])
            if self.cutout:
                self._save(cutout(picture, probabilities, threshold), paths["cutout"])
            del picture
        if self.probability:
            kind = np.uint8 if self.probability == 8 else np.uint16
            values = np.rint(probabilities * np.float32(np.iinfo(kind).max)).astype(kind)
            self._save(Image.fromarray(values), paths["probability"])
        if self.json:
            found = {"made_by": f"segkit predict {self.made_by}", "image": str(image.path)}
            found |= describe(prediction) | {"threshold": threshold, "milliseconds": round(ms, 2)}
            with atomic_write(paths["json"], "w", durable=False, encoding="utf-8") as file:
                file.write(json.dumps(found, indent=2) + "\n")
        self._save(Image.fromarray(mask * np.uint8(255)), paths["mask"])

    def _save(self, image: Image.Image, path: Path) -> None:
        text = PngInfo()
        text.add_text("Software", f"segkit predict {self.made_by} (segkit {segkit.__version__})")
        with atomic_write(path, durable=False) as file:
            image.save(file, format="PNG", compress_level=LEVEL, pnginfo=text)


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


def _mark(path: Path) -> str:
    """What made a file: the digits of ``made_by``; empty if the file is not there or by another program."""
    try:
        with open(path, "rb") as file:
            found = MARK.search(file.read(HEAD))
    except OSError:
        return ""
    return found[1].decode() if found else ""
