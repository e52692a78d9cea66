"""Score a checkpoint on the validation and the test set, at network size and at the images' original sizes.

Computed in fp32 whatever the training used, so that the scores of different runs compare.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from segkit.evaluation.whole import Row, WholeImage, image_slices, original_size, paste, whole_images
from segkit.models import heads
from segkit.models.checkpoint import Checkpoint, load_checkpoint
from segkit.models.counts import count, dice_per_image
from segkit.models.device import choose_device, make_deterministic
from segkit.models.predictor import Predictor

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

    @cached_property
    def images(self) -> list[slice]:
        """The rows of each image."""
        return image_slices(self.rows)

    def original_masks(self, images: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """The masks at their own sizes, ``uint8 (h, w)``: all, or those of ``images``, in order."""
        with zipfile.ZipFile(self.processed / "test" / ORIGINAL_MASKS) as archive:
            for chosen in self.images if images is None else [self.images[index] for index in images]:
                name = f"{self.rows[chosen.start]['name']}.png"
                with Image.open(io.BytesIO(archive.read(name)), formats=("PNG",)) as image:
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
    valid_rows = read_samples(paths.processed, "valid")
    valid_counts = score_split(predictor, open_split(paths.processed, "valid"), valid_rows, threshold)
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
            ["test", test.rows[rows.start]["name"], test.rows[rows.start]["group"], f"{d:.6f}", f"{i:.6f}", *counts]
            for rows, d, i, counts in zip(test.images, dice, iou, test_counts.tolist(), strict=True)
        ),
    )
    with atomic_folder(paths.metrics / "pictures" / name) as folder:
        draw_pictures(folder, predictor, test, dice, threshold)
    remarks = _remarks(test_counts, found["test"])
    default = checkpoint.metadata["threshold"]
    other = "" if threshold == default else f", at threshold {threshold:g} (the checkpoint's default is {default:g})"
    return (
        f"test Dice {headline['dice']:.4f} (original size {headline['dice_original']:.4f}, "
        f"validation {headline['valid_dice']:.4f}), IoU {headline['iou']:.4f}, {len(dice):,} images{other}{remarks}"
    )


def _remarks(counts: np.ndarray, found: dict[str, Any]) -> str:
    """What a Dice alone does not tell: that nothing is predicted, or that a constant prediction is as good."""
    remarks = ""
    if not counts[:, :2].any():
        remarks += "; it predicts no foreground in any test image"
    constant = max(("nothing", "everything"), key=lambda name: found[f"dice_of_{name}"])
    if found["dice"] <= found[f"dice_of_{constant}"]:
        remarks += f"; no better than predicting {constant} (Dice {found[f'dice_of_{constant}']:.4f})"
    return remarks


def _load(name: str, paths: Paths, device: torch.device) -> Checkpoint:
    """The checkpoint; raises InputError unless it holds this network for the packed data's size and way of resizing."""
    path, summary = paths.models / f"{name}.safetensors", read_summary(paths.processed)
    size, resize = summary["size"], summary["resize"]
    checkpoint = load_checkpoint(path, device)
    found = checkpoint.metadata
    made_for = found["model"], found["input_size"], found.get("resize", "stretch")
    if made_for != (name, size, resize):
        raise InputError(
            "{} holds the network {} for {} px ({}), not {} for {} px ({}); run 'dvc repro' to train it again, or "
            "fetch it with 'dvc pull'".format(path, *made_for, name, size, resize)
        )
    return checkpoint


def score_split(predictor: Predictor, split: Split, rows: list[Row], threshold: float) -> np.ndarray:
    """Counts ``int64 (N, 4)`` of a split's N images at network size, or at their own size if they were cut."""
    images = whole_images(rows, _predictions(predictor, split, threshold, "evaluate valid"))
    return np.stack([_counts(image, threshold) for image in images])


def score_test(predictor: Predictor, test: TestSet, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``int64 (N, 4)`` of the test set as ``score_split``, and at the original sizes.

    At the original size the probabilities are resized bilinearly, or stitched, then cut at the threshold, and compared
    with the mask at its original size.
    """
    counts, original_counts = [], []
    originals = run_ahead(test.original_masks(), depth=16)
    images = whole_images(test.rows, _predictions(predictor, test.split, threshold, "evaluate test"))
    for image, original in zip(images, originals, strict=True):
        counts.append(_counts(image, threshold))
        original_counts.append(_count(image.original_probabilities(), torch.from_numpy(original), threshold))
    return np.stack(counts), np.stack(original_counts)


def _counts(image: WholeImage, threshold: float) -> np.ndarray:
    if image.is_cut:
        return _count(image.original_probabilities(), image.stitched_mask(), threshold)
    return image.counts[0].numpy()


def _count(probabilities: Tensor, mask: Tensor, threshold: float) -> np.ndarray:
    return count(heads.predict(probabilities, threshold)[None], mask[None])[0].numpy()


def draw_pictures(folder: Path, predictor: Predictor, test: TestSet, dice: np.ndarray, threshold: float) -> None:
    """Twelve samples spread evenly over the test set, and the twelve worst, each as a PNG and on an overview."""
    fixed = np.unique(np.linspace(0, len(dice) - 1, PICTURES).round().astype(int))
    worst = np.argsort(dice, kind="stable")[:PICTURES]
    for kind, images in (("sample", fixed), ("worst", worst)):
        pairs = []
        for number, (index, mask) in enumerate(zip(images, test.original_masks(images), strict=True), start=1):
            chosen = test.images[index]
            rows, pictures = test.rows[chosen], test.split.images[chosen]
            probabilities = torch.cat(
                [
                    predictor.probabilities(torch.from_numpy(pictures[start : start + BATCH])).cpu()
                    for start in range(0, len(pictures), BATCH)
                ]
            )
            prediction = heads.predict(original_size(rows, probabilities), threshold).numpy()
            path = folder / f"{kind}_{number:02d}.png"
            pairs.append(write_picture(path, paste(rows, pictures), mask, prediction, rows[0]["name"], dice[index]))
        write_overview(folder / f"{kind}_overview.png", pairs)


def _predictions(
    predictor: Predictor, split: Split, threshold: float, label: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Probabilities, masks and counts of one batch of rows after another, on the CPU."""
    with bar(label=label, total=len(split), unit="img") as progress:
        rows = (slice(start, start + BATCH) for start in range(0, len(split), BATCH))
        batches = ([torch.from_numpy(array[chosen]) for array in (split.images, split.masks)] for chosen in rows)
        for pictures, masks in run_ahead(batches):
            probabilities = predictor.probabilities(pictures)
            counts = count(heads.predict(probabilities, threshold), masks.to(predictor.device))
            yield probabilities.cpu(), masks, counts.cpu()
            progress.update(len(masks))
