"""Real images that an export is checked on: of the packed data set, or of a folder."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segkit.base.errors import InputError, brief, counted
from segkit.base.packed import open_split, read_summary
from segkit.base.progress import bar
from segkit.dataset.decode import UnusableFile
from segkit.inference.finding import find
from segkit.inference.model import Model, Opened, load
from segkit.models import heads
from segkit.models.counts import count, dice_per_image

CHECKED, CALIBRATION = 200, 64  # images at most


@dataclass(frozen=True)
class Samples:
    """``check``: ``uint8 (N, H, W, 3)`` at the network's input size, with ``masks`` ``uint8 (N, H, W)`` where they are
    known; ``calibration``: others, to find ranges of values; ``threshold``: of a prediction; ``words``: for people.
    """

    check: Tensor
    masks: Tensor | None
    calibration: Tensor
    threshold: float
    words: str

    def probabilities(self, run: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``run`` says of ``check``, ``float32 (N, H, W)``."""
        with bar(label="check", total=len(self.check), unit="img") as progress:
            found = []
            for images in self.check.split(8):
                found.append(run(images))
                progress.update(len(images))
        return torch.cat(found)

    def dice(self, found: Tensor, masks: Tensor) -> float:
        """The mean Dice per image of the probabilities ``found``."""
        return float(dice_per_image(count(heads.predict(found, self.threshold), masks)).mean())


def samples(model: Path, folder: str | None, processed: Path = Path("data/processed")) -> Samples:
    """The images of ``folder`` (every second for calibration), else the packed data if they fit the checkpoint.

    Raises InputError if there is neither.
    """
    if model.suffix.lower() in (".onnx", ".pt2"):
        raise InputError(f"{brief(model, 300)} is an export already; name the checkpoint, NAME.safetensors")
    opened = load(model, "cpu")
    size, threshold = opened.metadata["input_size"], opened.metadata["threshold"]
    if folder is not None:
        paths = [image.path for image in find([folder], Path(os.devnull))]
        check, calibration = (_rows(opened, paths[first::2], most) for first, most in enumerate((CHECKED, CALIBRATION)))
        return Samples(check, None, calibration, threshold, f"{counted(len(check), 'image')} of {folder}")
    if not (processed / "summary.json").is_file() or _packed(processed) != (size, opened.resize):
        raise InputError(
            f"there is no packed data of {size[0]}x{size[1]} px, preprocess.resize: {opened.resize}, in {processed} to "
            "check the export on; name a folder of images with --images"
        )
    test, train = (open_split(processed, split) for split in ("test", "train"))
    rows = _spread(len(test), CHECKED)
    check, masks, calibration = test.images[rows], test.masks[rows], train.images[_spread(len(train), CALIBRATION)]
    words = f"{counted(len(check), 'test window' if opened.resize == 'tile' else 'test image')} of {processed}"
    return Samples(*map(torch.from_numpy, (check, masks, calibration)), threshold, words)


def _packed(processed: Path) -> tuple[list[int], str]:
    summary = read_summary(processed)
    return summary["size"], summary["resize"]


def _spread(total: int, most: int) -> np.ndarray:
    """Numbers of rows from all over a split: neighbours in it are often of one kind."""
    return np.linspace(0, total - 1, min(total, most)).round().astype(int)


def _rows(model: Model, paths: Sequence[Path], most: int) -> Tensor:
    """What the network sees of images: at most so many rows, ``uint8 (N, H, W, 3)``."""
    chosen = [paths[number] for number in _spread(len(paths), most)]
    rows = list(islice(model.pixels(_opened(model, chosen)), most))  # an image may have several
    return (
        torch.from_numpy(np.stack(rows))
        if rows
        else torch.empty(0, *model.metadata["input_size"], 3, dtype=torch.uint8)
    )


def _opened(model: Model, paths: Sequence[Path]) -> Iterator[Opened]:
    for path in paths:
        try:
            yield model.open(path)
        except UnusableFile as fault:
            raise InputError(f"--images {path}: {fault}") from None
