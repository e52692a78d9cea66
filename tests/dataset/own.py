"""A user's own images and masks, small enough for a test, as the folder source leaves them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.dataset.catalog import Sample, read_catalog
from segkit.dataset.decode import decode
from segkit.dataset.mask_values import examine, is_lossy, refuse_wide_colours
from segkit.dataset.meaning import Meaning, decide
from segkit.dataset.preprocess import preprocess
from segkit.dataset.survey import Survey, survey
from tests.tiny import options, own_folder

SPLITS = ("train", "train", "train", "valid", "test")


def disc(number: int, width: int = 30, height: int = 24) -> np.ndarray:
    """A mask ``bool (h, w)``, with another place and size for each number; it does not touch the edge."""
    numbers = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    radius = numbers.uniform(0.15, 0.3) * min(width, height)
    return np.hypot(x - numbers.uniform(0.4, 0.6) * width, y - numbers.uniform(0.4, 0.6) * height) < radius


def scene(mask: np.ndarray, number: int) -> Image.Image:
    """A noisy image ``mask.shape`` with a bright object where the mask is."""
    noise = np.random.default_rng(number).integers(0, 30, (*mask.shape, 3))
    return Image.fromarray((np.where(mask[..., None], (220, 140, 60), (30, 60, 120)) + noise).astype(np.uint8))


def meaning_of(files: Sequence[Path], **folder) -> Meaning:
    """What the values of these masks mean, as preprocess decides it."""
    found = []
    for path in files:
        frame = decode(path, refuse_wide_colours)
        with Image.open(path) as image:
            lossy = is_lossy(image)
        found.append((path.stem, examine(frame.image, lossy)))
    return decide(found, own_folder(Path("images"), Path("masks"), **folder))


def read_masks(files: Sequence[Path], **folder) -> list[np.ndarray]:
    """The masks, ``uint8 (h, w)`` of 0, 1, 2, 255."""
    meaning = meaning_of(files, **folder)
    return [meaning.mask(decode(path, meaning.check).image) for path in files]


class OwnSet:
    """``data/raw`` of a user's own data: files of any kind and ``samples.json``."""

    def __init__(self, folder: Path, masks: Sequence[np.ndarray] = (), images: Sequence[Image.Image] = ()) -> None:
        """``masks``: bool; of ``images``, if there are any, one per mask."""
        self.folder, self.entries = folder, []
        for number, mask in enumerate(masks):
            image = images[number] if images else scene(mask, number)
            self.add(f"s{number}", SPLITS[number % len(SPLITS)], image, Image.fromarray(mask.astype(np.uint8) * 255))

    def add(self, name: str, split: str, image: Image.Image, *masks: Image.Image, group: str = "", **save) -> None:
        """One sample, with files in PNG, or TIFF where that cannot hold them."""
        paths = []
        for kind, picture in (("images", image), *((f"masks{i}", mask) for i, mask in enumerate(masks))):
            path = self.folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            many = save if kind == "images" else {}
            picture.save(path, many.pop("format", None) or ("TIFF" if picture.mode in ("I", "F") else "PNG"), **many)
            paths.append(path.relative_to(self.folder).as_posix())
        self.entries.append({"name": name, "split": split, "group": group, "image": paths[0], "masks": paths[1:]})
        (self.folder / "samples.json").write_text(json.dumps({"samples": self.entries}), encoding="utf-8")

    def samples(self) -> list[Sample]:
        return read_catalog(self.folder, 10)

    def survey(self, **folder) -> Survey:
        return survey(self.samples(), options(), own_folder(Path("i"), Path("m"), **folder), 1)

    def pack(self, target: Path, size: tuple[int, int] = (16, 16), folder: dict | None = None, **changes) -> dict:
        own = own_folder(Path("i"), Path("m"), **folder or {})
        return preprocess(self.folder, target, options(size, **changes), 1, own)
