"""Test scores and training time of the course report's recipe and of this project's defaults.

    python -m benchmarks.accuracy --raw data/raw/download [--size 128] [--width 16] [--epochs 50] [--seeds 0 1 2]
                                  [--recipes plain report defaults] [--models unet] [--device cpu] [--json FILE]
                                  [--set KEY=VALUE ...] [--keep FOLDER]

``plain`` is the report's recipe as tutorials write it: torch's initialisation, fp32, JPEGs decoded and augmented by
torchvision at every read in the main process, AdamW with a constant rate, early stopping. ``report`` is the same
recipe in this project, by parameters alone (``REPORT``). ``defaults`` are those of ``params.yaml``, with ``--epochs``
and the changes of ``--set``. The first two train for at most 60 epochs. All are scored in fp32 by the same code on the
same test images.

Seconds are those of a whole training, also of one that was interrupted; for the last two with packing. With ``--json``
each finished run is kept in the file at once, and the next call goes on with the rest. With ``--keep`` the checkpoints
stay in the folder, for ``benchmarks.robustness``.
"""

import argparse
import copy
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.common import make_project, params_with, report
from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.files import read_json
from segkit.base.params import MODEL_NAMES, Params
from segkit.base.progress import bar
from segkit.base.workspace import Paths, run_folder
from segkit.dataset.catalog import Sample, read_catalog
from segkit.evaluation.evaluate import evaluate, score_images
from segkit.evaluation.images import ImageSet
from segkit.evaluation.scores import scores
from segkit.models import build
from segkit.models.checkpoint import Checkpoint, save_checkpoint
from segkit.models.device import choose_device
from segkit.models.predictor import Predictor
from segkit.training.run import architecture, train

BATCH, EPOCHS, PATIENCE, RATE = 15, 60, 7, 1e-3
SHOWN = ("dice", "dice_global", "pixel_accuracy_batch")

# The report's recipe as parameters of this project; docs/explanation/recipe.md has them as a command.
REPORT: dict[str, Any] = {
    "augment.n_aug": 1,
    "augment.originals": "keep",
    "augment.combine.rotation": 10,
    "augment.combine.scale": 0,
    "augment.combine.stretch": 0,
    "augment.combine.shear": 0,
    "augment.combine.shift": 0.03,
    "augment.combine.light": 0.2,
    "augment.combine.colour": 0,
    "augment.combine.gamma": 0,
    "augment.combine.blur": 0,
    "augment.combine.noise": 0,
    "train.loss.dice": 0,
    "train.lr": RATE,
    "train.schedule": "constant",
    "train.warmup": 0,
    "train.small_images": 0,
    "train.select": "loss",
    "train.patience": PATIENCE,
    "train.epochs": EPOCHS,
    "unet.norm": "none",
    "evaluate.tta": "none",
}


class PlainPets(Dataset):
    """The samples, and with ``augmented`` once more with random transforms, drawn anew at every access."""

    def __init__(self, samples: list[Sample], size: int, *, augmented: bool) -> None:
        self.samples, self.size, self.augmented = samples, size, augmented

    def __len__(self) -> int:
        return len(self.samples) * (1 + self.augmented)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample, size = self.samples[index % len(self.samples)], (self.size, self.size)
        image = Image.open(sample.picture).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        mask = Image.open(sample.masks[0]).resize(size, Image.Resampling.NEAREST)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        labels = torch.from_numpy((np.asarray(mask) != 2).astype(np.int64))
        if index >= len(self.samples):
            pixels, labels = self._transformed(pixels, labels)
        return (pixels - pixels.mean()) / pixels.std(), labels

    def _transformed(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """``combine`` of the report: shift, rotation, flip, brightness and contrast."""
        turn, x, y, flip, light, brightness, contrast = torch.rand(7).tolist()
        shift = [round(0.03 * self.size * (2 * value - 1)) for value in (x, y)]
        affine = {"angle": 10 * (2 * turn - 1), "translate": shift, "scale": 1.0, "shear": [0.0]}
        pixels = TF.affine(pixels, **affine, interpolation=TF.InterpolationMode.BILINEAR)
        labels = TF.affine(labels[None], **affine)[0]
        if flip < 0.5:
            pixels, labels = pixels.flip(2), labels.flip(1)
        if light < 0.5:
            pixels = TF.adjust_brightness(pixels, 0.8 + 0.4 * brightness)
            pixels = TF.adjust_contrast(pixels, 0.8 + 0.4 * contrast)
        return pixels, labels


def plain(name: str, samples: list[Sample], params: Params, device: torch.device) -> tuple[Checkpoint, int]:
    """The network with the weights of the lowest validation loss, and the number of epochs."""
    torch.manual_seed(params.seed)
    network = build(name, **architecture(name, params))
    _as_torch_initialises(network)
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    size = params.preprocess.size[0]
    training, held_out = (
        DataLoader(
            PlainPets([s for s in samples if s.split == split], size, augmented=split == "train"),
            BATCH,
            shuffle=split == "train",
        )
        for split in ("train", "valid")
    )
    best, best_epoch, weights = float("inf"), 0, {}
    for epoch in range(EPOCHS):
        network.train()
        for images, masks in bar(training, label=f"plain {name} epoch {epoch + 1}", unit="step"):
            optimizer.zero_grad()
            _loss(network(images.to(device)), masks.to(device)).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            losses = [_loss(network(images.to(device)), masks.to(device)).item() for images, masks in held_out]
        if statistics.mean(losses) < best:
            best, best_epoch, weights = statistics.mean(losses), epoch, copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(weights)
    metadata = {
        "model": name,
        "architecture": architecture(name, params),
        "input_size": [size, size],
        "normalize": {"kind": "image"},
        "threshold": params.evaluate.threshold,
        "border": "foreground",
        "valid": {"loss": best},
    }
    return Checkpoint(network.eval(), metadata), epoch + 1


def _as_torch_initialises(network: nn.Module) -> None:
    """Undo the initialisation of ``segkit.models``; the encoder's is torchvision's own."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not name.startswith(("stem.", "stages.")):
            module.reset_parameters()


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    if logits.shape[1] == 2:
        return F.cross_entropy(logits, masks)
    return F.binary_cross_entropy_with_logits(logits[:, 0], masks.float())


def run(recipe: str, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One training and its test scores."""
    params, device = _params(recipe, seed, options), choose_device(options.device)
    kept = options.keep and options.keep / f"{recipe}-{name}-{seed}.safetensors"
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if recipe == "plain":
            checkpoint, epochs = plain(name, read_catalog(options.raw, params.preprocess.valid_every), params, device)
            seconds = time.perf_counter() - start
            make_project(options.raw, Path(folder), params)
            images = ImageSet.open(Path(folder) / "processed", "test")
            found = scores(score_images(Predictor(checkpoint, device), images, params.evaluate.threshold))
            if kept:
                save_checkpoint(kept, checkpoint.model.state_dict(), checkpoint.metadata)
        else:
            paths = _paths(Path(folder))
            make_project(options.raw, Path(folder), params)
            packing = time.perf_counter() - start
            train(name, params, device, paths).saved.remove()
            # The log knows the seconds before an interruption, too.
            seconds = packing + read_json(run_folder(name) / "timing.json")["seconds"]
            evaluate(name, params, paths)
            found = read_json(paths.metrics / "scores" / f"{name}.json")["test"]
            epochs = read_json(paths.metrics / "training" / f"{name}.json")["epochs"]
            if kept:
                shutil.copy(paths.models / f"{name}.safetensors", kept)
    return {
        "recipe": recipe,
        "model": name,
        "seed": seed,
        "epochs": epochs,
        "seconds": round(seconds, 1),
        **{score: found[score] for score in SHOWN},
    }


def _paths(folder: Path) -> Paths:
    processed, augmented = folder / "processed", folder / "augmented"
    return Paths(processed=processed, plan=augmented / "plan.csv", models=folder / "models", metrics=folder / "metrics")


def _params(recipe: str, seed: int, options: argparse.Namespace) -> Params:
    settings = {"seed": seed, "preprocess.size": options.size, "unet.width": options.width}
    settings |= {"train.epochs": options.epochs, "train.patience": options.epochs}
    return params_with(settings, options.set) if recipe == "defaults" else params_with(settings | REPORT)


def _runs(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    return ((recipe, name, seed) for seed in options.seeds for name in options.models for recipe in options.recipes)


def _finished(path: Path | None, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of an earlier call; raises InputError if they had other settings."""
    if path is None or not path.exists():
        return []
    earlier = read_json(path)
    if other := [key for key in settings if earlier.get(key) != settings[key]]:
        raise InputError(f"{path} holds runs with another --{other[0]}; name another file, or remove it")
    return earlier["runs"]


def _table(results: list[dict[str, Any]]) -> str:
    """Mean ± standard deviation over the seeds."""
    lines = ["| network | recipe | seeds | epochs | seconds | " + " | ".join(SHOWN) + " |", "| --- " * 8 + "|"]
    for name in MODEL_NAMES:
        for recipe in ("plain", "report", "defaults"):
            if group := [r for r in results if (r["model"], r["recipe"]) == (name, recipe)]:
                cells = [name, recipe, str(len(group))]
                cells += [f"{statistics.mean(r[key] for r in group):.0f}" for key in ("epochs", "seconds")]
                for score in SHOWN:
                    values = [r[score] for r in group]
                    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
                    cells.append(f"{statistics.mean(values):.4f}{spread}")
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Train what is missing, print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=int, default=16, help="of the U-Net")
    parser.add_argument("--epochs", type=int, default=50, help="of the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key, for the defaults")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", choices=("plain", "report", "defaults"), default=["plain", "defaults"])
    parser.add_argument("--models", nargs="+", choices=MODEL_NAMES, default=list(MODEL_NAMES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the checkpoints")
    options = parser.parse_args()

    def work() -> None:
        for each in _runs(options):  # a fault in --set is found before hours of training
            _params(each[0], each[2], options)
        settings = {"size": options.size, "width": options.width, "epochs": options.epochs, "set": options.set}
        runs = _finished(options.json, settings)
        done = {(r["recipe"], r["model"], r["seed"]) for r in runs}
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
        for each in _runs(options):
            if each not in done:
                runs.append(run(*each, options))
                report(settings | {"runs": runs}, options.json)
        print(_table(runs))

    return run_command("accuracy", work)


if __name__ == "__main__":
    sys.exit(main())
