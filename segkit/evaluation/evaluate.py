"""Score a checkpoint on the validation and the test set, at network size and at the images' original sizes.

Computed in fp32 whatever the training used, so that the scores of different runs compare.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from segkit.base.errors import InputError
from segkit.base.files import atomic_folder, write_csv, write_json
from segkit.base.packed import ORIGINAL_MASKS, Split, open_split, read_samples, read_summary, verified
from segkit.base.params import Params
from segkit.base.prefetch import run_ahead
from segkit.base.progress import bar
from segkit.base.workspace import Paths
from segkit.evaluation.pictures import write_overview, write_picture
from segkit.evaluation.scores import iou_per_image, scores
from segkit.models import heads
from segkit.models.checkpoint import Checkpoint, load_checkpoint
from segkit.models.counts import count, dice_per_image
from segkit.models.device import choose_device, make_deterministic
from segkit.models.predictor import Predictor, to_size

BATCH = 32
PICTURES = 12
PER_IMAGE_COLUMNS = ("split", "name", "group", "dice", "iou", "tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class TestSet:
    """The packed test set (``split``), its rows of ``samples.csv``, and the folder of both."""

    processed: Path
    split: Split
    rows: list[dict[str, Any]]

    @classmethod
    def open(cls, processed: Path) -> "TestSet":
        """Open it; raises InputError if it is missing or damaged."""
        verified(processed, f"test/{ORIGINAL_MASKS}")
        return cls(processed, open_split(processed, "test"), read_samples(processed, "test"))

    def original_masks(self, rows: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """The masks at their own sizes, ``uint8 (h, w)``: all, or those of ``rows``, in order."""
        with zipfile.ZipFile(self.processed / "test" / ORIGINAL_MASKS) as archive:
            for row in range(len(self.rows)) if rows is None else rows:
                with Image.open(io.BytesIO(archive.read(f"{self.rows[row]['name']}.png")), formats=("PNG",)) as image:
                    yield np.array(image)  # a copy, which torch can take as it is


def evaluate(name: str, params: Params, paths: Paths | None = None) -> str:
    """Score ``models/NAME.safetensors`` and return one line about it.

    Writes ``metrics/NAME.json``, ``metrics/scores/NAME.json``, ``metrics/per_image/NAME.csv`` and
    ``metrics/pictures/NAME/*.png``. Raises InputError if checkpoint and data do not belong together.
    """
    paths = paths or Paths()
    make_deterministic(seed=0)  # nothing here is drawn at random
    device = choose_device(params.runtime.device)
    checkpoint = _load(name, paths, device)
    predictor, threshold = Predictor(checkpoint, device), params.evaluate.threshold
    test = TestSet.open(paths.processed)
    valid_counts = score_split(predictor, open_split(paths.processed, "valid"), threshold)
    test_counts, original_counts = score_test(predictor, test, threshold)

    found = {"valid": scores(valid_counts), "test": scores(test_counts), "test_original": scores(original_counts)}
    headline = {
        "dice": found["test"]["dice"],
        "iou": found["test"]["iou"],
        "dice_original": found["test_original"]["dice"],
        "valid_dice": found["valid"]["dice"],
        "valid_loss": checkpoint.metadata["valid"]["loss"],
    }
    write_json(paths.metrics / f"{name}.json", headline)
    write_json(paths.metrics / "scores" / f"{name}.json", found)
    dice, iou = dice_per_image(test_counts), iou_per_image(test_counts)
    write_csv(
        paths.metrics / "per_image" / f"{name}.csv",
        PER_IMAGE_COLUMNS,
        (
            ["test", row["name"], row["group"], f"{d:.6f}", f"{i:.6f}", *counts]
            for row, d, i, counts in zip(test.rows, dice, iou, test_counts.tolist(), strict=True)
        ),
    )
    with atomic_folder(paths.metrics / "pictures" / name) as folder:
        draw_pictures(folder, predictor, test, dice, threshold)
    default = checkpoint.metadata["threshold"]
    other = "" if threshold == default else f", at threshold {threshold:g} (the checkpoint's default is {default:g})"
    return (
        f"test Dice {headline['dice']:.4f} (original size {headline['dice_original']:.4f}, "
        f"validation {headline['valid_dice']:.4f}), IoU {headline['iou']:.4f}, {len(dice):,} images{other}"
    )


def _load(name: str, paths: Paths, device: torch.device) -> Checkpoint:
    """The checkpoint; raises InputError unless it holds this network for the packed data's input size."""
    path, size = paths.models / f"{name}.safetensors", read_summary(paths.processed)["size"]
    checkpoint = load_checkpoint(path, device)
    found = checkpoint.metadata
    if (found["model"], found["input_size"]) != (name, size):
        raise InputError(
            f"{path} holds the network {found['model']} for {found['input_size']} px, not {name} for {size} px; run "
            "'dvc repro' to train it again, or fetch it with 'dvc pull'"
        )
    return checkpoint


def score_split(predictor: Predictor, split: Split, threshold: float) -> np.ndarray:
    """Counts ``int64 (N, 4)`` of a split at network size."""
    counts = [
        count(heads.predict(probabilities, threshold), masks).cpu().numpy()
        for probabilities, masks in _predictions(predictor, split, "evaluate valid")
    ]
    return np.concatenate(counts)


def score_test(predictor: Predictor, test: TestSet, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``int64 (N, 4)`` of the test set at network size, and at the original sizes.

    At the original size the probabilities are resized bilinearly, then cut at the threshold, and compared with
    the mask at its original size.
    """
    counts, original_counts = [], []
    originals = run_ahead(test.original_masks(), depth=16)
    for probabilities, masks in _predictions(predictor, test.split, "evaluate test"):
        counts.append(count(heads.predict(probabilities, threshold), masks).cpu().numpy())
        for foreground, original in zip(probabilities.cpu(), originals, strict=False):
            prediction = heads.predict(to_size(foreground, *original.shape), threshold)
            original_counts.append(count(prediction[None], torch.from_numpy(original)[None]).numpy())
    return np.concatenate(counts), np.concatenate(original_counts)


def draw_pictures(folder: Path, predictor: Predictor, test: TestSet, dice: np.ndarray, threshold: float) -> None:
    """Twelve samples spread evenly over the test set, and the twelve worst, each as a PNG and on an overview."""
    fixed = np.unique(np.linspace(0, len(dice) - 1, PICTURES).round().astype(int))
    worst = np.argsort(dice, kind="stable")[:PICTURES]
    for kind, rows in (("sample", fixed), ("worst", worst)):
        pictures = test.split.images[rows]
        probabilities = predictor.probabilities(torch.from_numpy(pictures)).cpu()
        pairs = []
        drawn = zip(rows, pictures, probabilities, test.original_masks(rows), strict=True)
        for number, (row, picture, foreground, mask) in enumerate(drawn, start=1):
            prediction = heads.predict(to_size(foreground, *mask.shape), threshold).numpy()
            path = folder / f"{kind}_{number:02d}.png"
            pairs.append(write_picture(path, picture, mask, prediction, test.rows[row]["name"], dice[row]))
        write_overview(folder / f"{kind}_overview.png", pairs)


def _predictions(predictor: Predictor, split: Split, label: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Probabilities and masks of one batch after another, on the device."""
    with bar(label=label, total=len(split), unit="img") as progress:
        rows = (slice(start, start + BATCH) for start in range(0, len(split), BATCH))
        batches = ([torch.from_numpy(array[chosen]) for array in (split.images, split.masks)] for chosen in rows)
        for pictures, masks in run_ahead(batches):
            probabilities = predictor.probabilities(pictures)
            yield probabilities, masks.to(predictor.device)
            progress.update(len(masks))
