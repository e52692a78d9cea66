"""Dice of methods that ignore shapes: thresholds, colour histograms and fixed masks.

    python -m benchmarks.trivial_baselines [--raw data/raw/download] [--json FILE]

All methods are fitted on ``annotations/trainval.txt`` and scored on ``annotations/test.txt`` by the mean over
images of 2TP / (2TP + FP + FN). Trimap values 1 and 3 are foreground. A data set on which one of them scores
well says little about a network.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.files import write_json
from segkit.base.progress import bar

Channel = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Sample = tuple[Image.Image, Mask]

CHANNELS = ("red", "green", "blue", "hue", "saturation", "value", "grey")
_BAND_STEP = 4
_BINS = 16
_PRIOR_SIDE = 64


def dice(predicted: Mask, truth: Mask) -> float:
    """2TP / (2TP + FP + FN); 1 where both are empty."""
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


class Split:
    """The images of one list file, read again for each pass, since a large set does not fit in memory."""

    def __init__(self, raw: Path, list_name: str) -> None:
        path = raw / "annotations" / list_name
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise InputError(f"{path} is missing; run 'dvc repro download', or name the folder with --raw") from None
        self.raw, self.list_name = raw, list_name
        self.names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        if not self.names:
            raise InputError(f"{path} names no images")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        for name in bar(self.names, label=f"reading {self.list_name}", unit="pictures"):
            try:
                image = Image.open(self.raw / "images" / f"{name}.jpg").convert("RGB")
                trimap = np.asarray(Image.open(self.raw / "annotations" / "trimaps" / f"{name}.png"))
            except OSError as error:
                raise InputError(f"{name} cannot be read: {error}") from None
            yield image, trimap != 2


def channels(image: Image.Image) -> list[Channel]:
    """The channels in the order of CHANNELS."""
    bands = [*image.split(), *image.convert("HSV").split(), image.convert("L")]
    return [np.asarray(band) for band in bands]


def fit_bands(train: Split) -> dict[str, tuple[int, int, float]]:
    """For each channel the (low, high, mean Dice on ``train``) of the best band low <= value < high.

    Bands may wrap around, low above high, which selects everything outside; limits are multiples of 4.
    """
    edges = np.arange(0, 257, _BAND_STEP)
    sums = np.zeros((len(CHANNELS), len(edges), len(edges)))
    for image, truth in train:
        for k, channel in enumerate(channels(image)):
            inside, everything = (
                np.concatenate([[0], np.cumsum(np.bincount(values.ravel(), minlength=256))])[edges]
                for values in (channel[truth], channel)
            )
            hits = inside[None, :] - inside[:, None]
            picked = everything[None, :] - everything[:, None]
            wraps = edges[:, None] > edges[None, :]
            hits, picked = hits + wraps * inside[-1], picked + wraps * everything[-1]
            sums[k] += 2 * hits / np.maximum(picked + inside[-1], 1)
    best = {}
    for name, total in zip(CHANNELS, sums, strict=True):
        low, high = np.unravel_index(int(total.argmax()), total.shape)
        best[name] = (int(edges[low]), int(edges[high]), float(total[low, high]) / len(train))
    return best


def in_band(channel: Channel, low: int, high: int) -> Mask:
    """low <= value < high, or everything outside if low is above high."""
    above, below = channel >= low, channel < high
    return above & below if low <= high else above | below


def otsu(channel: Channel) -> int:
    """The threshold t (value >= t is bright) with the largest variance between the two classes."""
    count = np.bincount(channel.ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(count)[:-1]
    mass = np.cumsum(count * np.arange(256))
    above = count.sum() - below
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = mass[:-1] / below - (mass[-1] - mass[:-1]) / above
        between = np.nan_to_num(below * above * gap**2)
    return int(between.argmax()) + 1


def fit_otsu(train: Split) -> str:
    """Which side of Otsu's threshold on grey, 'bright' or 'dark', is the better foreground on ``train``."""
    scores = {"bright": 0.0, "dark": 0.0}
    for image, truth in train:
        grey = np.asarray(image.convert("L"))
        bright = grey >= otsu(grey)
        scores["bright"] += dice(bright, truth)
        scores["dark"] += dice(~bright, truth)
    return max(scores, key=scores.__getitem__)


def colour_bins(image: Image.Image) -> NDArray[np.intp]:
    """The index of each pixel's bin among 16 x 16 x 16 colours, ``(height, width)``."""
    cells = np.asarray(image).astype(np.intp) // (256 // _BINS)
    return (cells[..., 0] * _BINS + cells[..., 1]) * _BINS + cells[..., 2]


def fit_histogram(train: Split) -> NDArray[np.bool_]:
    """Which colour bins are foreground: those above the foreground share with the best mean Dice."""
    pet, everything = np.zeros(_BINS**3), np.zeros(_BINS**3)
    for image, truth in train:
        bins = colour_bins(image)
        pet += np.bincount(bins[truth], minlength=_BINS**3)
        everything += np.bincount(bins.ravel(), minlength=_BINS**3)
    share = (pet + 0.4) / (everything + 1.0)
    levels = np.arange(0.05, 0.95, 0.05)
    sums = np.zeros(len(levels))
    for image, truth in train:
        probability = share[colour_bins(image)]
        sums += [dice(probability >= level, truth) for level in levels]
    return share >= levels[int(sums.argmax())]


def fit_prior(train: Split) -> Image.Image:
    """The fixed mask, 64 x 64 as L 0 or 255: where the mean training mask exceeds the best level."""
    mean = np.zeros((_PRIOR_SIDE, _PRIOR_SIDE))
    for _, truth in train:
        small = Image.fromarray(truth.astype(np.uint8) * 255).resize((_PRIOR_SIDE, _PRIOR_SIDE))
        mean += np.asarray(small, dtype=np.float64) / 255
    mean /= len(train)
    priors = [Image.fromarray((mean >= level).astype(np.uint8) * 255) for level in np.arange(0.1, 0.85, 0.05)]
    sums = np.zeros(len(priors))
    for _, truth in train:
        sums += [dice(stretched(prior, truth.shape), truth) for prior in priors]
    return priors[int(sums.argmax())]


def stretched(prior: Image.Image, shape: tuple[int, int]) -> Mask:
    """The fixed mask at an image's ``(height, width)``."""
    return np.asarray(prior.resize(shape[::-1])) >= 128


def measure(raw: Path) -> dict[str, float]:
    """Mean per-image Dice on the test list of each baseline, by a readable name."""
    train, test = Split(raw, "trainval.txt"), Split(raw, "test.txt")
    bands, side = fit_bands(train), fit_otsu(train)
    is_pet, prior = fit_histogram(train), fit_prior(train)
    predict: dict[str, Callable[[Image.Image, list[Channel]], Mask]] = {}
    for k, (name, (low, high, _)) in enumerate(bands.items()):
        predict[f"{name} in [{low}, {high})"] = lambda _, bands, k=k, low=low, high=high: in_band(bands[k], low, high)
    predict[f"Otsu on grey, {side} side"] = lambda _, bands: (bands[-1] >= otsu(bands[-1])) == (side == "bright")
    predict["colour histogram, 16 bins a channel"] = lambda image, _: is_pet[colour_bins(image)]
    predict["fixed mask"] = lambda image, _: stretched(prior, image.size[::-1])
    predict["everything is foreground"] = lambda image, _: np.ones(image.size[::-1], dtype=bool)
    sums = dict.fromkeys(predict, 0.0)
    for image, truth in test:
        bands_of_image = channels(image)
        for name, guess in predict.items():
            sums[name] += dice(guess(image, bands_of_image), truth)
    return {name: total / len(test) for name, total in sums.items()}


def main() -> int:
    """Print the table and, on request, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--raw", type=Path, default=Path("data/raw/download"), help="folder with images/ and annotations/"
    )
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    options = parser.parse_args()

    def work() -> None:
        scores = measure(options.raw)
        width = max(map(len, scores))
        print(f"{'baseline':{width}}  mean Dice")
        for name, score in sorted(scores.items(), key=lambda item: -item[1]):
            print(f"{name:{width}}  {score:9.4f}")
        print(f"{'maximum':{width}}  {max(scores.values()):9.4f}")
        if options.json:
            write_json(options.json, {"dice": scores, "maximum": max(scores.values())})

    return run_command("trivial_baselines", work)


if __name__ == "__main__":
    sys.exit(main())
