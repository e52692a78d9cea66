"""Comparison with segmentation_models_pytorch: images per second, and test Dice after the same wall time.

    pip install segmentation-models-pytorch
    python -m benchmarks.against_smp --raw data/raw/download [--size 128] [--minutes 4] [--lr 0.001] [--json FILE]

The loop of segmentation_models_pytorch has the settings of its own example for Oxford-IIIT Pet: ``smp.Unet`` with a
ResNet34 encoder and one output channel, ImageNet statistics for normalisation, Dice loss on logits, Adam with a
learning rate of 2e-4 and a cosine schedule, images decoded in the worker processes of the DataLoader, one per core.
segkit's is ``train_resnet34_unet``, with packing counted in its time. Neither uses pretrained weights. Both train on
the training set of ``--raw``. The last weights of both are scored in fp32 by the same code on the same test images.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count as numbers
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.common import make_engine, make_project, params_at, report, seconds, training_samples
from segkit.base.command import run_command
from segkit.base.packed import Split, open_split
from segkit.base.params import Params
from segkit.base.workspace import cores
from segkit.dataset.catalog import Sample
from segkit.dataset.findings import IMAGENET
from segkit.models.counts import count, dice_per_image
from segkit.models.normalize import Normalizer, to_float

BATCH = 15


class Pets(torch.utils.data.Dataset):
    """Images and masks, decoded and resized at every access."""

    def __init__(self, samples: list[Sample], size: int) -> None:
        self.samples, self.size = samples, (size, size)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        image = Image.open(sample.picture).convert("RGB").resize(self.size, Image.Resampling.BILINEAR)
        mask = np.asarray(Image.open(sample.masks[0]).resize(self.size, Image.Resampling.NEAREST)) != 2
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), torch.from_numpy(mask).float()[None]


def theirs(samples: list[Sample], size: int, budget: float, epochs: int) -> tuple[Callable, int, float]:
    """Train for ``budget`` seconds; returns what maps images to probabilities, images seen, seconds of training."""
    import segmentation_models_pytorch as smp

    start = time.perf_counter()
    torch.manual_seed(0)
    model = smp.Unet("resnet34", encoder_weights=None, in_channels=3, classes=1)
    statistics = Normalizer("imagenet", tuple(IMAGENET["mean"]), tuple(IMAGENET["std"]))
    loss_of = smp.losses.DiceLoss(smp.losses.BINARY_MODE, from_logits=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    loader = torch.utils.data.DataLoader(Pets(samples, size), BATCH, shuffle=True, num_workers=cores(), drop_last=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader), eta_min=1e-5)
    images = 0
    model.train()
    while time.perf_counter() - start < budget:
        for pictures, masks in loader:
            optimizer.zero_grad()
            loss = loss_of(model(statistics(pictures.float())), masks)
            loss.backward()
            optimizer.step()
            if schedule.last_epoch < schedule.T_max:
                schedule.step()
            images += len(pictures)
            if time.perf_counter() - start >= budget:
                break
    return lambda pictures: model.eval()(statistics(pictures)).sigmoid()[:, 0], images, time.perf_counter() - start


def ours(raw: Path, folder: Path, params: Params, budget: float) -> tuple[Callable, int, float]:
    """The same for segkit, packing included."""
    start = time.perf_counter()
    project = make_project(raw, folder, params)
    engine = make_engine("resnet34_unet", params)
    batches = project.batches("resnet34_unet", engine.device)
    images = 0

    def until_time_is_up() -> Iterator:
        nonlocal images
        for epoch in numbers():
            for batch in batches.epoch(epoch):
                if time.perf_counter() - start >= budget:
                    return
                images += len(batch.masks)
                yield batch

    engine.train(until_time_is_up(), epoch=0, steps=len(batches), label="segkit")
    spent = time.perf_counter() - start
    normalizer = project.normalizer
    return lambda pictures: engine.model.eval()(normalizer(pictures)).sigmoid()[:, 0], images, spent


@torch.inference_mode()
def score(probabilities: Callable, test: Split) -> float:
    """Mean Dice over the test images at network size."""
    dice = []
    for start in range(0, len(test), BATCH):
        rows = slice(start, start + BATCH)
        pictures, masks = (torch.from_numpy(array[rows]) for array in (test.images, test.masks))
        dice.append(dice_per_image(count(probabilities(to_float(pictures, torch.device("cpu"))) >= 0.5, masks)))
    return float(torch.cat(dice).mean())


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--lr", type=float, default=1e-3, help="ours; theirs is 2e-4, as in their example")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        params = params_at(options.size, options.lr)
        samples = training_samples(options.raw, params)
        budget = 60 * options.minutes
        with tempfile.TemporaryDirectory() as name:
            result = {}
            found = ours(options.raw, Path(name), params, budget)
            test = open_split(Path(name) / "processed", "test")
            torch.use_deterministic_algorithms(False)
            result["segkit"] = _row(found, test)
            # their cosine ends about where the time does
            epochs = math.ceil(budget * result["segkit"]["images_per_second"] / 3 / len(samples))
            result["smp"] = _row(theirs(samples, options.size, budget, epochs), test)
        ratio = result["segkit"]["images_per_second"] / result["smp"]["images_per_second"]
        result["ratio_of_images_per_second"] = round(ratio, 3)
        report(result | {"size": options.size, "test_images": len(test)}, options.json)

    return run_command("against_smp", work)


def _row(found: tuple[Callable, int, float], test: Split) -> dict[str, float]:
    probabilities, images, spent = found
    dice: list[float] = []
    scoring = seconds(lambda: dice.append(score(probabilities, test)))
    return {
        "images_per_second": round(images / spent, 2),
        "images": images,
        "seconds": round(spent, 1),
        "test_dice": round(dice[0], 4),
        "test_seconds": round(scoring, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
