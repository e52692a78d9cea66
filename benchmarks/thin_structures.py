"""Thin branching structures: a threshold and both networks on drawn pictures of a retina.

    python -m benchmarks.thin_structures --out FOLDER [--images 28] [--seed 0] [--train [NAME ...]] [--size 128]
        [--set KEY=VALUE ...] [--json FILE]

Writes ``FOLDER/images/*.jpg`` and ``FOLDER/masks/*.png`` (``benchmarks.fundus``; 512 px, about 7 % foreground), packs
them as ``data.source: folder`` does, and prints what a threshold reaches: foreground is what is darker in the green
channel than its surroundings, a Gaussian blur of it, by a limit. Limit and width of the blur are those of the best mean
Dice on the training set. ``dice`` is the mean Dice per image of the test set at network size, ``dice_original`` at the
size of the pictures, as in ``metrics/``; the threshold works on, and is fitted to, the pictures of that size.

Of 28 pictures 14 are for training, 4 for validation, 10 for the test. ``--train`` also trains the networks as
``params.yaml`` says, in a temporary folder, and scores them as ``evaluate`` does. ``--set`` changes any of its keys:
``--set preprocess.resize=tile --set train.epochs=60``.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.common import params_with, report, seconds
from benchmarks.fundus import draw
from segkit.augment.preview import augment
from segkit.base.command import run_command
from segkit.base.files import read_json
from segkit.base.packed import FOREGROUND
from segkit.base.params import MODEL_NAMES, Params
from segkit.base.progress import bar
from segkit.dataset.findings import describe, remarks
from segkit.dataset.preprocess import preprocess
from segkit.evaluation.evaluate import evaluate
from segkit.evaluation.images import ImageSet
from segkit.sources.download import download
from segkit.training.launch import train

SPLIT = {"test": 0.36, "valid": 0.14}  # 10, 4 and 14 of 28
BLACK = 16  # around the round field
SIGMAS = (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24)  # pixels
LIMITS = range(1, 41)  # of 255

Labelled = tuple[np.ndarray, np.ndarray]  # green uint8 (h, w), truth bool (h, w)


def write(folder: Path, images: int, seed: int) -> None:
    """Draw ``images`` pictures and masks into ``folder`` instead of those that are there; a picture depends on seed and
    number alone."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for earlier in (folder / kind).glob("eye_*"):
            earlier.unlink()
    for number in bar(range(images), label="drawing", unit="img"):
        image, mask = draw(np.random.Generator(np.random.Philox(key=seed, counter=(0, 0, 0, number))))
        image.save(folder / "images" / f"eye_{number:03d}.jpg", quality=92)
        mask.save(folder / "masks" / f"eye_{number:03d}.png")


def at_network_size(split: str) -> list[Labelled]:
    """The packed pictures of a split and their masks, put together again if they are tiles."""
    images = ImageSet.open(Path("data/processed"), split)
    found = []
    for image in range(len(images)):
        picture = images.picture(image)
        truth = images.mask(image)[: picture.shape[0], : picture.shape[1]] == FOREGROUND  # without padding
        found.append((picture[..., 1], truth))
    return found


def at_original_size(split: str) -> list[Labelled]:
    """The same as they were drawn."""
    raw = Path("data/raw/download")
    samples = [sample for sample in read_json(raw / "samples.json")["samples"] if sample["split"] == split]
    opened = ([Image.open(raw / path) for path in (sample["image"], sample["masks"][0])] for sample in samples)
    return [(np.asarray(image)[..., 1], np.asarray(mask) > 0) for image, mask in opened]


def darker(green: np.ndarray, sigma: float) -> np.ndarray:
    """By how much each pixel is darker than its surroundings, ``int16 (h, w)``; 0 around the field."""
    around = np.asarray(Image.fromarray(green).filter(ImageFilter.GaussianBlur(sigma)), dtype=np.int16)
    return np.where(green >= BLACK, around - green, 0)


def dice_of_limits(green: np.ndarray, truth: np.ndarray, sigma: float) -> np.ndarray:
    """Dice of each of LIMITS, ``float64 (len(LIMITS),)``."""
    depth = darker(green, sigma).clip(0, LIMITS[-1])
    hits, found = (np.bincount(values.ravel(), minlength=LIMITS[-1] + 1) for values in (depth[truth], depth))
    from_limit_on = [np.cumsum(each[::-1])[::-1][LIMITS[0] :] for each in (hits, found)]
    return 2 * from_limit_on[0] / (from_limit_on[1] + truth.sum())


def threshold(training: Sequence[Labelled], test: Sequence[Labelled]) -> tuple[float, float, int]:
    """Mean Dice on ``test``, with the sigma and the limit that are the best on ``training``, which follow."""
    means = [np.mean([dice_of_limits(*each, sigma) for each in training], axis=0) for sigma in SIGMAS]
    best, limit = np.unravel_index(np.argmax(means), np.shape(means))
    dice = np.mean([dice_of_limits(*each, SIGMAS[best])[limit] for each in test])
    return float(dice), SIGMAS[best], LIMITS[limit]


def measure(params: Params, names: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """What is found in the current folder by each method: ``dice``, ``dice_original`` and more."""
    processed = Path("data/processed")
    download(params, Path("data/raw/download"))
    summary = preprocess(Path("data/raw/download"), processed, params.preprocess, 0, params.data.folder, "folder")
    for line in (describe(summary), *remarks(summary)):
        print(line, flush=True)
    (dice, sigma, limit), whole = (threshold(at("train"), at("test")) for at in (at_network_size, at_original_size))
    fitted = {"sigma": sigma, "limit": limit, "sigma_original": whole[1], "limit_original": whole[2]}
    yield "threshold", {"dice": dice, "dice_original": whole[0]} | fitted
    if names:
        augment(processed, Path("data/augmented"), params.augment, params.seed)
    for name in names:
        taken = seconds(lambda name=name: print(train(name, params), flush=True))
        evaluate(name, params)
        scores, training = read_json(Path(f"metrics/{name}.json")), read_json(Path(f"metrics/training/{name}.json"))
        more = {key: training[key] for key in ("epochs", "best_epoch", "best_valid_dice")}
        yield name, {key: scores[key] for key in ("dice", "dice_original")} | more | {"seconds": round(taken, 1)}


def main() -> int:
    """Draw, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", nargs="*", choices=MODEL_NAMES, metavar="NAME", help="networks; alone: both")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of params.yaml")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        out = options.out.resolve()
        own = {"images": str(out / "images"), "masks": str(out / "masks"), "split": SPLIT}
        settings = {"data.source": "folder", "preprocess.size": options.size}
        settings |= {f"data.folder.{key}": value for key, value in own.items()}
        params = params_with(settings, options.set)
        write(out, options.images, options.seed)
        names = [] if options.train is None else options.train or MODEL_NAMES
        target = options.json.resolve() if options.json else None
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            found = dict(measure(params, names))
        print(f"\n| {'method':13} | dice   | dice_original | seconds |\n| --- | ---: | ---: | ---: |")
        for name, row in found.items():
            print(f"| {name:13} | {row['dice']:.4f} | {row['dice_original']:13.4f} | {row.get('seconds', ''):>7} |")
        report(found, target)

    return run_command("thin_structures", work)


if __name__ == "__main__":
    sys.exit(main())
