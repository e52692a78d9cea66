"""K-fold score of a recipe: held-out Dice on training and validation images; the test set is not read.

    python -m benchmarks.folds --raw data/raw/download [--size 128] [--width 16] [--epochs 50] [--folds 0 1 2 3 4]
                               [--models unet] [--set KEY=VALUE ...] [--device cpu] [--json FILE]

Trains on four fifths of the training and validation images together, with the engine of this project and the
parameters of ``params.yaml``, changed by ``--set``, and scores the weights of the last epoch on the fifth held out, in
fp32: without flips, with flips, and with flips on blurred and on noisy images, damaged as in ``benchmarks.robustness``
but after resizing. Recipes that are compared share folds, initial weights and order.
"""

import argparse
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.common import Project, make_project, params_with, report, seconds
from benchmarks.robustness import Damage, blurred, draws, noisy
from segkit.augment.plan import make_plan
from segkit.base.command import run_command
from segkit.base.packed import Split, open_split
from segkit.base.params import MODEL_NAMES
from segkit.models import heads, network
from segkit.models.checkpoint import Checkpoint
from segkit.models.counts import count, dice_per_image
from segkit.models.device import choose_device
from segkit.models.predictor import Predictor
from segkit.training.batches import TrainingBatches
from segkit.training.run import build_engine
from segkit.training.schedules import image_size

FOLDS, SEED = 5, 1234  # the seed of the folds, whatever params.seed is
BATCH = 20  # of the scoring


def fold(processed: Path, number: int) -> tuple[Split, Split]:
    """The training images of a fold, and those held out, in memory."""
    splits = [open_split(processed, split) for split in ("train", "valid")]
    images, masks = (np.concatenate([getattr(split, kind)[:] for split in splits]) for kind in ("images", "masks"))
    held_out = np.zeros(len(images), bool)
    held_out[np.random.default_rng(SEED).permutation(len(images))[number::FOLDS]] = True
    return Split(images[~held_out], masks[~held_out]), Split(images[held_out], masks[held_out])


def run(name: str, number: int, project: Project, device: torch.device) -> dict[str, Any]:
    """Train a network on all but one fold and score it on that fold."""
    params, normalizer = project.params, project.normalizer
    training, held_out = fold(project.folder / "processed", number)
    recipe, size = getattr(params, name).train, params.preprocess.size
    engine = build_engine(name, params, device)
    batches = TrainingBatches(
        training,
        make_plan(len(training), params.augment),
        params.augment.combine,
        normalizer,
        seed=params.seed,
        batch_size=recipe.batch_size,
        device=device,
        size=partial(image_size, recipe, size, network(name).stride),
    )

    def work() -> None:
        for epoch in range(recipe.epochs):
            label = f"{name} fold {number} epoch {epoch + 1}/{recipe.epochs}"
            engine.train(batches.epoch(epoch), epoch=epoch, steps=len(batches), label=label)

    taken = seconds(work)
    checkpoint = Checkpoint(engine.model, {"normalize": normalizer.as_metadata()})
    plain, flips = (Predictor(checkpoint, device, tta=tta) for tta in (False, True))
    scores = {
        "dice": _dice(plain, held_out),
        "dice_flips": _dice(flips, held_out),
        "dice_blurred": _dice(flips, damaged_split(held_out, blurred)),
        "dice_noisy": _dice(flips, damaged_split(held_out, noisy)),
    }
    return {"model": name, "fold": number, "seconds": round(taken), **scores}


def damaged_split(split: Split, damage: Damage) -> Split:
    """The images after ``damage``, which moves nothing, with their masks."""
    images = []
    for row, (image, mask) in enumerate(zip(split.images, split.masks, strict=True)):
        damaged, _ = damage(Image.fromarray(image), mask, draws(SEED, row), mask.shape)
        images.append(np.asarray(damaged))
    return Split(np.stack(images), split.masks)


def _dice(predictor: Predictor, split: Split) -> float:
    """Mean Dice per image, as ``evaluate`` scores."""
    counts = []
    for start in range(0, len(split), BATCH):
        images, masks = (torch.from_numpy(values[start : start + BATCH]) for values in (split.images, split.masks))
        counts.append(count(heads.predict(predictor.probabilities(images).cpu(), 0.5), masks))
    return dice_per_image(torch.cat(counts)).mean().item()


def main() -> int:
    """Print a JSON report and the mean over the folds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=int, default=16, help="of the U-Net")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--folds", type=int, nargs="+", choices=range(FOLDS), default=list(range(FOLDS)))
    parser.add_argument("--models", nargs="+", choices=MODEL_NAMES, default=list(MODEL_NAMES))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of params.yaml")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        settings = {"preprocess.size": options.size, "unet.width": options.width, "train.epochs": options.epochs}
        params, device = params_with(settings, options.set), choose_device(options.device)
        runs = []
        with tempfile.TemporaryDirectory() as folder:
            project = make_project(options.raw, Path(folder), params)
            for name in options.models:
                for number in options.folds:
                    runs.append(run(name, number, project, device))
                    report(settings | {"device": str(device), "set": options.set, "runs": runs}, options.json)
        for name in options.models:
            for key in ("dice", "dice_flips", "dice_blurred", "dice_noisy"):
                print(f"{name} {key}: {statistics.mean(r[key] for r in runs if r['model'] == name):.4f}")

    return run_command("folds", work)


if __name__ == "__main__":
    sys.exit(main())
