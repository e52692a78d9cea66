"""Score a checkpoint on the validation and the test set, at network size and at the images' original sizes.

Computed in fp32 whatever the training used, so that the scores of different runs compare.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.base.errors import InputError
from segkit.base.files import atomic_folder, atomic_write, write_csv, write_json
from segkit.base.packed import Split, read_summary
from segkit.base.params import Params
from segkit.base.prefetch import bounded_map, run_ahead
from segkit.base.progress import bar
from segkit.base.workspace import Paths, cores, run_folder
from segkit.evaluation.analysis import IMAGE_COLUMNS, Analysis, Examined, examine
from segkit.evaluation.border import BorderCounts
from segkit.evaluation.card import card
from segkit.evaluation.images import ImageSet
from segkit.evaluation.log import log_scores
from segkit.evaluation.pictures import write_overview, write_picture
from segkit.evaluation.scores import iou_per_image, scores
from segkit.models import heads
from segkit.models.checkpoint import Checkpoint, load_checkpoint
from segkit.models.counts import count, dice_per_image, no_better_than
from segkit.models.device import choose_device, make_deterministic
from segkit.models.predictor import Predictor, flips

BATCH = 32
PICTURES = 12
SIZED = ("dice", "iou", "tp", "fp", "fn", "tn")
ORIGINAL = tuple(f"{column}_original" for column in SIZED)
PER_IMAGE_COLUMNS = ("split", "name", "group", *SIZED, *ORIGINAL, *IMAGE_COLUMNS)


def evaluate(name: str, params: Params, paths: Paths | None = None) -> str:
    """Score ``models/NAME.safetensors`` and return one line about it.

    Writes ``metrics/NAME.json``, ``metrics/scores/NAME.json``, ``metrics/per_image/NAME.csv``,
    ``metrics/analysis/NAME/*.csv``, ``metrics/pictures/NAME/*.png`` and the model card ``models/NAME.md``, and
    adds the test scores to TensorBoard's log. Raises InputError if checkpoint and data do not belong together.
    """
    paths = paths or Paths()
    make_deterministic(seed=0)  # nothing here is drawn at random
    device = choose_device(params.runtime.device)
    checkpoint = _load(name, paths, device)
    predictor, threshold = Predictor(checkpoint, device, tta=params.evaluate.tta == "flip"), params.evaluate.threshold
    valid, test = (ImageSet.open(paths.processed, split) for split in ("valid", "test"))
    valid_counts = score_images(predictor, valid, threshold)
    analysis = Analysis()
    test_counts, originals = score_test(predictor, test, threshold, analysis)

    found = {"valid": scores(valid_counts), "test": scores(test_counts), "test_original": scores(originals.counts)}
    if originals.has_border:
        found["test_original_no_border"] = scores(originals.no_border)
    headline = {
        "dice": found["test"]["dice"],
        "iou": found["test"]["iou"],
        "dice_original": found["test_original"]["dice"],
        "valid_dice": found["valid"]["dice"],
        "valid_loss": checkpoint.metadata["valid"]["loss"],
    }
    write_json(paths.metrics / f"{name}.json", headline)
    write_json(paths.metrics / "scores" / f"{name}.json", found)
    per_image = zip(_per_image(test_counts), _per_image(originals.counts), analysis.columns, strict=True)
    _write_per_image(paths.metrics / "per_image" / f"{name}.csv", test, per_image)
    with atomic_folder(paths.metrics / "analysis" / name) as folder:
        analysis.write(folder, dice_per_image(test_counts))
    with atomic_write(paths.models / f"{name}.md", "w", encoding="utf-8") as file:
        file.write(card(name, checkpoint, read_summary(paths.processed), found, params.evaluate))
    with atomic_folder(paths.metrics / "pictures" / name) as folder:
        draw_pictures(folder, predictor, test, dice_per_image(test_counts), threshold)
    logged = {key: headline[key] for key in ("dice", "iou", "dice_original")}
    remark = log_scores(run_folder(name), checkpoint.metadata, logged)
    return (
        f"test Dice {headline['dice']:.4f} (original size {headline['dice_original']:.4f}, "
        f"validation {headline['valid_dice']:.4f}), IoU {headline['iou']:.4f}, {len(test):,} images"
        f"{_unlike_training(params, checkpoint.metadata)}{_warning(test_counts)}{remark}"
    )


def _unlike_training(params: Params, metadata: dict[str, Any]) -> str:
    """What of ``evaluate`` is not what a user of the checkpoint gets by default."""
    used = {"threshold": f"{params.evaluate.threshold:g}", "tta": params.evaluate.tta}
    kept = {"threshold": f"{metadata['threshold']:g}", "tta": "flip" if flips(metadata) else "none"}
    return "".join(
        f", with {key} {used[key]} (the checkpoint's default is {kept[key]})" for key in used if used[key] != kept[key]
    )


def _load(name: str, paths: Paths, device: torch.device) -> Checkpoint:
    """The checkpoint; raises InputError unless it holds this network, trained on images of the packed data's size and
    resized in the same way."""
    path, summary = paths.models / f"{name}.safetensors", read_summary(paths.processed)
    size, resize = summary["size"], summary["resize"]
    checkpoint = load_checkpoint(path, device)
    found = checkpoint.metadata
    again = "run 'dvc repro' to train it again, or fetch it with 'dvc pull'"
    if (found["model"], found["input_size"]) != (name, size):
        raise InputError(
            f"{path} holds the network {found['model']} for {found['input_size']} px, not {name} for {size} px; {again}"
        )
    if (trained := found.get("resize", "stretch")) != resize:
        raise InputError(f"{path} was trained with preprocess.resize: {trained}, not {resize}; {again}")
    return checkpoint


def score_images(predictor: Predictor, images: ImageSet, threshold: float) -> np.ndarray:
    """Counts ``int64 (N, 4)`` of each image: at network size, or at its original size if it was cut into windows."""
    found = enumerate(predictions(predictor, images, range(len(images))))
    return np.array([_count(probabilities, images.mask(image), threshold) for image, probabilities in found])


def score_test(
    predictor: Predictor, test: ImageSet, threshold: float, analysis: Analysis
) -> tuple[np.ndarray, BorderCounts]:
    """Counts ``int64 (N, 4)`` of the test set as ``score_images`` counts, and at the original sizes; each image, as it
    is scored, is added to ``analysis``.

    At the original size the probabilities are resized bilinearly, then cut at the threshold, and compared with
    the mask at its original size. Images that were cut into windows are scored at that size alone.
    """
    counts, originals = [], BorderCounts(test.border)
    masks = run_ahead(test.original_labels(), depth=1 if test.tiled else 16)  # large masks only one ahead
    found = zip(predictions(predictor, test, range(len(test))), masks, strict=True)

    def scored() -> Iterator[tuple[int, Tensor]]:
        for image, (probabilities, labels) in enumerate(found):
            originals.add(heads.predict(test.to_original_size(image, probabilities), threshold), labels)
            if not test.tiled:
                counts.append(_count(probabilities, test.mask(image), threshold))
            yield image, probabilities

    def examined(item: tuple[int, Tensor]) -> Examined:
        image, probabilities = item
        pixels = (test.without_padding(image, each) for each in (probabilities, test.mask(image)))
        return examine(*pixels, test.picture(image), threshold)

    # Beside the network in threads, but large images one by one.
    for each in map(examined, scored()) if test.tiled else bounded_map(examined, scored(), cores()):
        analysis.add(each)
    return np.array(counts or originals.counts), originals


def draw_pictures(folder: Path, predictor: Predictor, test: ImageSet, dice: np.ndarray, threshold: float) -> None:
    """Twelve samples spread evenly over the test set, and the twelve worst, each as a PNG and on an overview."""
    fixed = np.unique(np.linspace(0, len(dice) - 1, PICTURES).round().astype(int))
    worst = np.argsort(dice, kind="stable")[:PICTURES]
    for kind, images in (("sample", fixed), ("worst", worst)):
        pairs = []
        drawn = zip(images, predictions(predictor, test, images), test.original_masks(images), strict=True)
        for number, (image, probabilities, mask) in enumerate(drawn, start=1):
            prediction = heads.predict(test.to_original_size(image, probabilities), threshold).numpy()
            path, name = folder / f"{kind}_{number:02d}.png", test.rows[image][0]["name"]
            pairs.append(write_picture(path, test.picture(image), mask, prediction, name, dice[image]))
        write_overview(folder / f"{kind}_overview.png", pairs)


def predictions(predictor: Predictor, images: ImageSet, chosen: Sequence[int]) -> Iterator[Tensor]:
    """Probabilities ``float32`` of the ``chosen`` images, one after another, on the CPU, as they are scored."""
    rows = _predicted_rows(predictor, images.split, [row["row"] for image in chosen for row in images.rows[image]])
    for image in chosen:
        yield images.assemble(image, islice(rows, len(images.rows[image])))


def _predicted_rows(predictor: Predictor, split: Split, rows: Sequence[int]) -> Iterator[Tensor]:
    """Probabilities ``float32 (H, W)`` of one row after another, on the CPU, predicted in batches."""
    with bar(label="evaluate", total=len(rows), unit="img") as progress:
        chosen = (np.array(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))
        for pictures in run_ahead(torch.from_numpy(split.images[batch]) for batch in chosen):
            yield from predictor.probabilities(pictures).cpu()
            progress.update(len(pictures))


def _count(probabilities: Tensor, mask: np.ndarray, threshold: float) -> np.ndarray:
    """Counts ``int64 (4,)`` of one image."""
    return count(heads.predict(probabilities, threshold)[None], torch.from_numpy(mask)[None])[0].numpy()


def _write_per_image(path: Path, test: ImageSet, columns: Iterable[Sequence[list]]) -> None:
    """``columns``: of each image, those after its name and group, in parts."""
    table = zip((rows[0] for rows in test.rows), columns, strict=True)
    write_csv(path, PER_IMAGE_COLUMNS, (["test", row["name"], row["group"], *chain(*parts)] for row, parts in table))


def _per_image(counts: np.ndarray) -> Iterator[list]:
    """The columns ``SIZED`` of each image."""
    for dice, iou, each in zip(dice_per_image(counts), iou_per_image(counts), counts.tolist(), strict=True):
        yield [f"{dice:.6f}", f"{iou:.6f}", *each]


def _warning(counts: np.ndarray) -> str:
    """What the line says about a network that has learned nothing."""
    if not counts[:, :2].any():
        return "; predicts no foreground in any test image"
    found = no_better_than(dice_per_image(counts).mean(), counts)
    return f"; {found}" if found else ""
