"""Images per second of the training loop and of a typical tutorial loop, with the same networks and batch size.

    python -m benchmarks.plain_loop [--raw data/raw/download] [--size 128] [--model unet] [--rounds 7] [--json FILE]

The plain loop decodes and resizes JPEGs at every read in the main process, normalises image by image, and uses fp32,
NCHW, torch's own layers and losses, and AdamW with default settings. It reads the loss after each step and has no
augmentation. segkit's loop reads packed images (packing is timed separately), augments them as ``params.yaml`` says,
and trains as the stages do. The two alternate, each in its own process; ratios are medians over the rounds.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.common import (
    Project,
    make_engine,
    make_project,
    median,
    params_at,
    report,
    seconds,
    training_samples,
)
from segkit.base.command import run_command
from segkit.base.params import MODEL_NAMES
from segkit.dataset.catalog import Sample
from segkit.models import build


class PlainPets(torch.utils.data.Dataset):
    """Reads, decodes, resizes and normalises a sample at every access."""

    def __init__(self, samples: list[Sample], size: int) -> None:
        self.samples, self.size = samples, size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample, size = self.samples[index], (self.size, self.size)
        image = Image.open(sample.picture).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        mask = np.asarray(Image.open(sample.masks[0]).resize(size, Image.Resampling.NEAREST))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - pixels.mean()) / pixels.std(), torch.from_numpy((mask != 2).astype(np.int64))


class PlainLoop:
    """The loop that tutorials write."""

    def __init__(self, name: str, samples: list[Sample], size: int, batch_size: int) -> None:
        self.model = build(name).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-4)
        loader = torch.utils.data.DataLoader(PlainPets(samples, size), batch_size, shuffle=True, drop_last=True)
        self.batches = chain.from_iterable(repeat(loader))  # epoch after epoch

    def train(self, steps: int) -> float:
        total = 0.0
        for images, masks in islice(self.batches, steps):
            self.optimizer.zero_grad()
            logits = self.model(images)
            if logits.shape[1] == 2:
                loss = F.cross_entropy(logits, masks)
            else:
                loss = F.binary_cross_entropy_with_logits(logits[:, 0], masks.float())
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / steps


class OurLoop:
    """The loop of the training stages."""

    def __init__(self, name: str, project: Project) -> None:
        self.engine = make_engine(name, project.params)
        batches = project.batches(name, self.engine.device)
        self.batches = chain.from_iterable(batches.epoch(epoch) for epoch in count())

    def train(self, steps: int) -> None:
        self.engine.train(islice(self.batches, steps), epoch=0, steps=steps, label="ours")


_loop: Any = None  # of a process that takes turns with the other's


def _start(kind: type, *arguments: Any) -> None:
    global _loop
    _loop = kind(*arguments)
    _loop.train(2)


def _turn(steps: int) -> float:
    return seconds(lambda: _loop.train(steps)) / steps


def compare(name: str, raw: Path, size: int, rounds: int, steps: dict[type, int]) -> dict:
    """Rates of both loops and their ratio; each loop lives in a process of its own, and they take turns."""
    params = params_at(size)
    batch_size = getattr(params, name).train.batch_size
    samples = training_samples(raw, params)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        project = make_project(raw, Path(folder), params)
        packing = time.perf_counter() - start
        arguments = {PlainLoop: (name, samples, size, batch_size), OurLoop: (name, project)}
        pools = {kind: ProcessPoolExecutor(1, mp_context=context) for kind in steps}
        for kind, pool in pools.items():
            pool.submit(_start, kind, *arguments[kind]).result()
        taken = [{kind: pools[kind].submit(_turn, steps[kind]).result() for kind in steps} for _ in range(rounds)]
        for pool in pools.values():
            pool.shutdown()
    ratios = [times[PlainLoop] / times[OurLoop] for times in taken]
    return {
        "plain_images_per_second": median([batch_size / times[PlainLoop] for times in taken]),
        "train_images_per_second": median([batch_size / times[OurLoop] for times in taken]),
        "ratio": median(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "size": size,
        "batch_size": batch_size,
        "packing_seconds": round(packing, 2),
    }


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--raw", type=Path, default=Path("data/raw/download"), help="images in the layout of Oxford-IIIT Pet"
    )
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--model", choices=MODEL_NAMES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        names = [options.model] if options.model else MODEL_NAMES
        steps = {"unet": {PlainLoop: 1, OurLoop: 2}, "resnet34_unet": {PlainLoop: 6, OurLoop: 12}}
        found = {name: compare(name, options.raw, options.size, options.rounds, steps[name]) for name in names}
        report(found, options.json)

    return run_command("plain_loop", work)


if __name__ == "__main__":
    sys.exit(main())
