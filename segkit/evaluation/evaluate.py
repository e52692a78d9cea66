"""Score a checkpoint on the validation and the test set, at network size and at the pictures' original sizes.

Computed in fp32 whatever the training used, so that the scores of different runs compare.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.data.batches import run_ahead
from segkit.data.catalog import Sample
from segkit.data.packed import Split, open_split, read_samples, read_summary
from segkit.errors import InputError
from segkit.evaluation.originals import find_originals, read_original, read_originals
from segkit.evaluation.pictures import write_overview, write_picture
from segkit.files import atomic_folder, write_csv, write_json
from segkit.metrics import count, dice_per_image, iou_per_image, scores
from segkit.models import heads
from segkit.models.checkpoint import load_checkpoint
from segkit.models.predictor import Predictor, to_size
from segkit.params import Params
from segkit.progress import bar
from segkit.training.device import choose_device, make_deterministic
from segkit.workspace import Paths, cores

BATCH = 32
PICTURES = 12
PER_IMAGE_COLUMNS = ("split", "name", "group", "dice", "iou", "tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class TestSet:
    """The test set packed (``split``), its rows of ``samples.csv``, and the raw samples behind them."""

    split: Split
    rows: list[dict[str, Any]]
    originals: list[Sample]
    border: str


def evaluate(name: str, params: Params, paths: Paths | None = None) -> str:
    """Score ``models/NAME.safetensors`` and return one line about it.

    Writes ``metrics/evaluate_NAME.json``, ``metrics/per_image/NAME.csv`` and ``metrics/pictures/NAME/*.png``. Raises
    InputError where checkpoint and data do not belong together or a raw file has vanished.
    """
    paths = paths or Paths()
    make_deterministic(seed=0)  # nothing here is drawn at random
    device = choose_device(params.runtime.device)
    checkpoint = load_checkpoint(paths.models / f"{name}.safetensors", device)
    summary = read_summary(paths.processed)
    if checkpoint.metadata["model"] != name:
        raise InputError(
            f"{paths.models / name}.safetensors holds the network {checkpoint.metadata['model']}, not {name}; run "
            "'dvc repro' to train it again, or fetch it with 'dvc pull'"
        )
    if checkpoint.metadata["input_size"] != summary["size"]:
        raise InputError(
            f"{paths.models / name}.safetensors was trained at {checkpoint.metadata['input_size']} px, but "
            f"{paths.processed} holds {summary['size']} px; run 'dvc repro' to train it again"
        )
    predictor, threshold = Predictor(checkpoint, device), params.evaluate.threshold
    rows = read_samples(paths.processed, "test")
    test = TestSet(open_split(paths.processed, "test"), rows, find_originals(paths.raw, rows), summary["border"])
    valid_counts = score_split(predictor, open_split(paths.processed, "valid"), threshold)
    test_counts, original_counts = score_test(predictor, test, threshold, params.runtime.workers or cores())

    result = {"valid": scores(valid_counts), "test": scores(test_counts), "test_original": scores(original_counts)}
    write_json(paths.metrics / f"evaluate_{name}.json", {name: result})
    dice, iou = dice_per_image(test_counts), iou_per_image(test_counts)
    write_csv(
        paths.metrics / "per_image" / f"{name}.csv",
        PER_IMAGE_COLUMNS,
        (
            ["test", row["name"], row["group"], f"{d:.6f}", f"{i:.6f}", *counts]
            for row, d, i, counts in zip(rows, dice, iou, test_counts.tolist(), strict=True)
        ),
    )
    with atomic_folder(paths.metrics / "pictures" / name) as folder:
        draw_pictures(folder, predictor, test, dice, threshold)
    return (
        f"{name}: test Dice {result['test']['dice']:.4f} (original size {result['test_original']['dice']:.4f}, "
        f"validation {result['valid']['dice']:.4f}), IoU {result['test']['iou']:.4f}, {len(rows):,} pictures"
    )


def score_split(predictor: Predictor, split: Split, threshold: float) -> np.ndarray:
    """Counts ``int64 (N, 4)`` of a split at network size."""
    counts = [
        count(heads.predict(probabilities, threshold), masks).cpu().numpy()
        for probabilities, masks in _predictions(predictor, split, "evaluate valid")
    ]
    return np.concatenate(counts)


def score_test(predictor: Predictor, test: TestSet, threshold: float, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``int64 (N, 4)`` of the test set at network size, and at the original sizes.

    At the original size the probabilities are resized bilinearly, then cut at the threshold, and compared with
    the mask as it came.
    """
    counts, original_counts = [], []
    originals = read_originals(test.originals, test.border, workers)
    for probabilities, masks in _predictions(predictor, test.split, "evaluate test"):
        counts.append(count(heads.predict(probabilities, threshold), masks).cpu().numpy())
        for foreground, original in zip(probabilities.cpu(), originals, strict=False):
            mask = torch.from_numpy(original.mask)
            prediction = heads.predict(to_size(foreground, *mask.shape), threshold)
            original_counts.append(count(prediction[None], mask[None]).numpy())
    return np.concatenate(counts), np.concatenate(original_counts)


def draw_pictures(folder: Path, predictor: Predictor, test: TestSet, dice: np.ndarray, threshold: float) -> None:
    """Twelve samples spread evenly over the test set, and the twelve worst, each as a PNG and on an overview."""
    fixed = np.unique(np.linspace(0, len(dice) - 1, PICTURES).round().astype(int))
    worst = np.argsort(dice, kind="stable")[:PICTURES]
    for kind, rows in (("sample", fixed), ("worst", worst)):
        probabilities = predictor.probabilities(torch.from_numpy(test.split.images[rows])).cpu()
        pairs = []
        for number, (row, foreground) in enumerate(zip(rows, probabilities, strict=True), start=1):
            original = read_original(test.originals[row], test.border)
            prediction = heads.predict(to_size(foreground, *original.mask.shape), threshold).numpy()
            path = folder / f"{kind}_{number:02d}.png"
            pairs.append(write_picture(path, original, prediction, test.rows[row]["name"], dice[row]))
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
