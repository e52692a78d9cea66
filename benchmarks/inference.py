"""Photos per second and peak memory of ``segkit predict``, of the bare network, and of the loop that tutorials write.

    python -m benchmarks.inference MODEL IMAGES [--size 256] [--rounds 3] [--onnx FILE ...] [--json FILE]

The bare network gets images that are decoded and resized already, and keeps nothing; once with all cores in each layer,
once with a worker on each core. The tutorial's loop takes one image at a time: decode, resize, predict in fp32, resize,
save. ``--size``: the same weights at another input size. ``--onnx``: files of ``segkit export`` to measure as well.
Each contestant lives in a process of its own, and they take turns over the same images. Rates are medians over the
rounds; ``share`` is relative to the faster bare network, ``ratio`` to the tutorial's loop.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.common import median, report, seconds
from segkit.base.command import run_command
from segkit.base.workspace import cores
from segkit.inference.finding import find
from segkit.inference.model import load
from segkit.inference.predict import Settings, predict
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from segkit.models.device import choose_device


class Bare:
    """The network alone, on rows in memory."""

    def __init__(self, model: Path, images: list[Path], precision: str, side_by_side: bool, batch: int) -> None:
        self.model, self.side_by_side = load(model, precision=precision), side_by_side
        rows = torch.from_numpy(np.stack([np.asarray(self.model.open(path).image) for path in images]))
        self.batches = rows.split(batch)

    def __call__(self) -> None:
        workers = cores() if self.side_by_side else 1
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(cores() // workers,)) as pool:
            for _ in pool.map(self._predict, self.batches):
                pass

    def _predict(self, batch: Tensor) -> Tensor:
        return self.model.network.probabilities(batch).cpu()


class Predict:
    """``segkit predict``, masks alone."""

    def __init__(self, model: Path, images: list[Path], precision: str, batch: int) -> None:
        self.images, self.folder = [str(path) for path in images], tempfile.TemporaryDirectory()
        self.settings = Settings(model, Path(self.folder.name), precision=precision, batch=batch)

    def __call__(self) -> None:
        predict(find(self.images, self.settings.out), self.settings)


class Tutorial:
    """The loop that tutorials write: one image after another, in the main thread."""

    def __init__(self, model: Path, images: list[Path]) -> None:
        self.device, self.images, self.folder = choose_device("auto"), images, tempfile.TemporaryDirectory()
        checkpoint = load_checkpoint(model, self.device)
        self.model, (self.height, self.width) = checkpoint.model, checkpoint.metadata["input_size"]

    @torch.no_grad()
    def __call__(self) -> None:
        for path in self.images:
            image = Image.open(path).convert("RGB")
            pixels = np.array(image.resize((self.width, self.height), Image.Resampling.BILINEAR))
            tensor = torch.from_numpy(pixels).permute(2, 0, 1).float()[None].to(self.device) / 255
            logits = self.model((tensor - tensor.mean()) / tensor.std())
            found = torch.sigmoid(logits[:, :1]) if logits.shape[1] == 1 else logits.softmax(1)[:, 1:]
            whole = F.interpolate(found, size=image.size[::-1], mode="bilinear")[0, 0]
            mask = (whole > 0.5).cpu().numpy().astype(np.uint8) * 255
            Image.fromarray(mask).save(f"{self.folder.name}/{path.stem}_mask.png")


_contestant: Any = None  # of a process that takes turns with the others'


def _start(kind: Callable[..., Any], *arguments: Any) -> None:
    global _contestant
    _contestant = kind(*arguments)
    _contestant()


def _turn() -> tuple[float, float]:
    """Seconds of one pass over the images, and the peak memory of this process so far in GB."""
    taken = seconds(_contestant)
    return taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def compare(model: Path, images: list[Path], onnx: list[Path], rounds: int, batch: int) -> dict[str, dict[str, Any]]:
    """Rates, peak memory, share of the bare network and ratio to the tutorial's loop, of each contestant."""
    contestants = {
        "bare fp32, all cores in each layer": (Bare, model, images, "fp32", False, batch),
        "bare fp32, a worker a core": (Bare, model, images, "fp32", True, batch),
        "predict fp32": (Predict, model, images, "fp32", batch),
        "predict bf16": (Predict, model, images, "bf16", batch),
        **{f"predict {path.name}": (Predict, path, images, "fp32", batch) for path in onnx},
        "tutorial": (Tutorial, model, images),
    }
    context = multiprocessing.get_context("spawn")
    pools = {name: ProcessPoolExecutor(1, mp_context=context) for name in contestants}
    for name, arguments in contestants.items():
        pools[name].submit(_start, *arguments).result()
    taken = [{name: pool.submit(_turn).result() for name, pool in pools.items()} for _ in range(rounds)]
    for pool in pools.values():
        pool.shutdown()
    found = {
        name: {
            "images_per_second": median([len(images) / turn[name][0] for turn in taken], 1),
            "peak_memory_gb": round(taken[-1][name][1], 2),
            "share": median(
                [min(t for n, (t, _) in turn.items() if n[:4] == "bare") / turn[name][0] for turn in taken]
            ),
            "ratio": median([turn["tutorial"][0] / turn[name][0] for turn in taken], 2),
        }
        for name in contestants
    }
    return found


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images")
    parser.add_argument("--size", type=int)
    parser.add_argument("--onnx", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=598, help="the first images of the folder only")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            images = [each.path for each in find([options.images], Path(folder) / "out")][: options.limit]
            model = _resized(options.model, options.size, Path(folder)) if options.size else options.model
            found = compare(model, images, options.onnx, options.rounds, options.batch)
            found |= {"images": len(images), "input_size": load(model).metadata["input_size"]}
            found |= {"device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"}
        report(found, options.json)

    return run_command("inference", work)


def _resized(model: Path, size: int, folder: Path) -> Path:
    checkpoint = load_checkpoint(model)
    path = folder / model.name
    save_checkpoint(path, checkpoint.model.state_dict(), checkpoint.metadata | {"input_size": [size, size]})
    return path


if __name__ == "__main__":
    sys.exit(main())
