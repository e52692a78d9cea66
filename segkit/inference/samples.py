"""Real images that an export is checked on: of the packed data set, or of a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segkit.base.errors import InputError, counted
from segkit.base.packed import open_split, read_summary
from segkit.dataset.decode import UnusableFile
from segkit.inference.finding import find
from segkit.inference.model import Model, Opened, load
from segkit.models import heads
from segkit.models.counts import count, dice_per_image

CHECKED, CALIBRATION = 200, 64  # images at most


@dataclass(frozen=True)
class Samples:
    """``check``: ``uint8 (N, H, W, 3)`` at the network's input size, with ``masks`` ``uint8 (N, H, W)`` where they are
    known; ``calibration``: others, to find ranges of values; ``threshold``: of a prediction; ``words``: for people."""

    check: Tensor
    masks: Tensor | None
    calibration: Tensor
    threshold: float
    words: str

    def dice(self, found: Tensor) -> float | None:
        """The mean Dice per image of probabilities ``float32 (N, H, W)``; None without masks."""
        if self.masks is None:
            return None
        return float(dice_per_image(count(heads.predict(found, self.threshold), self.masks)).mean())


def samples(model: Path, folder: str | None, processed: Path = Path("data/processed")) -> Samples:
    """The images of ``folder``, else the packed test set if it fits the checkpoint ``model``.

    Raises InputError if there is neither.
    """
    opened = load(model, "cpu")
    size, threshold = opened.metadata["input_size"], opened.metadata["threshold"]
    if folder is not None:
        chosen = islice(opened.pixels(_usable(opened, folder)), CHECKED)  # an image may have several rows
        rows = torch.from_numpy(np.stack(list(chosen)))
        return Samples(rows, None, rows[:0], threshold, f"{counted(len(rows), 'image')} of {folder}")
    trained = size, opened.resize
    if not (processed / "summary.json").is_file() or _packed(processed) != trained:
        raise InputError(
            f"there is no packed data of {size[0]}x{size[1]} px, preprocess.resize: {opened.resize}, in {processed} to "
            "check the export on; name a folder of images with --images"
        )
    test, train = (open_split(processed, split) for split in ("test", "train"))
    rows = _spread(len(test), CHECKED)
    check, masks = test.images[rows], test.masks[rows]
    calibration = train.images[_spread(len(train), CALIBRATION)]
    noun = "test window" if opened.resize == "tile" else "test image"
    words = f"{len(rows):,} of {counted(len(test), noun)} of {processed}"
    return Samples(*map(torch.from_numpy, (check, masks, calibration)), threshold, words)


def _packed(processed: Path) -> tuple[list[int], str]:
    summary = read_summary(processed)
    return summary["size"], summary["resize"]


def _spread(total: int, most: int) -> np.ndarray:
    """Numbers of rows from all over a split: neighbours in it are often of one kind."""
    return np.linspace(0, total - 1, min(total, most)).round().astype(int)


def _usable(model: Model, folder: str) -> Iterator[Opened]:
    found = find([folder], Path(os.devnull))
    for number in _spread(len(found), CHECKED):
        image = found[number]
        try:
            yield model.open(image.path)
        except UnusableFile as fault:
            raise InputError(f"--images {image.path}: {fault}") from None
