"""Test Dice of checkpoints on damaged pictures: rotated, dark, blurred, small and so on.

    python -m benchmarks.robustness A.safetensors [B.safetensors ...] --raw FOLDER [--images N] [--json FILE]

``FOLDER`` has the layout of Oxford-IIIT Pet. Each picture of its test list is damaged at its original size, together
with its mask if it moves, and then resized and scored as ``evaluate`` does: in fp32, with the checkpoint's threshold
and meaning of the border, mean Dice per image at network size (at the original size if the checkpoint was trained on
tiles). Rows without damage differ from ``metrics/`` by what decoding of large JPEGs at reduced scale changes.

Where a rotated, shifted or shrunk picture leaves the frame empty, it is filled with the picture's own reflection, and
those pixels are ignored. A frame of one colour would be an object with straight edges that no camera sees, and a
network would be scored on how it takes that; the reflection continues the surroundings. Its copies of the animal are
real foreground, so they count neither way. A row of the geometric kind thus says how well the animal is outlined, and
not how much is found elsewhere.

Noise is drawn on the grid on which the network sees the picture, since averaging while resizing removes finer noise;
networks of one input size get the same. Draws depend on ``--seed`` and on the picture's place in the list alone.

Printed is a table in Markdown. The last column is the difference of the last two checkpoints, with half the width of
its 95 % interval over the pictures.
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.files import digest, write_json
from segkit.base.packed import IGNORED
from segkit.base.progress import bar
from segkit.dataset.catalog import Sample, read_catalog
from segkit.dataset.decode import UnusableFile
from segkit.dataset.geometry import rows
from segkit.dataset.pictures import Reading, Trimaps, read_pair, resolve_border
from segkit.inference.model import Model, Opened, load
from segkit.models import heads
from segkit.models.counts import count, dice_per_image

# An image as RGB and its mask, uint8 (h, w) of 0, 1, 2 (border), 255, at the same size.
Pair = tuple[Image.Image, np.ndarray]
# What damages a pair, with random numbers, and the height and width at which the network sees the whole picture.
Damage = Callable[[Image.Image, np.ndarray, np.random.Generator, tuple[int, int]], Pair]
Margins = tuple[tuple[int, int], tuple[int, int]]  # above and below, left and right, in pixels

CHUNK = 16  # pictures in memory at once
MOST = 6  # columns that fit in 100 characters
ANGLE = 30  # degrees
SHIFT = 0.25  # of width and height
SMALL = 0.5
BLUR = 0.02  # of the longer side
NOISE = 25  # of 255
JPEG_SIDE, JPEG_QUALITY = 256, 5


def clean(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """As it is."""
    return image, mask


def rotated(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """By 30 degrees, clockwise or counterclockwise."""
    angle = numbers.choice((-ANGLE, ANGLE))
    width, height = image.size
    margin = max(image.size) // 2
    image, mask = _surrounded(image, mask, ((margin, margin), (margin, margin)))
    frame = margin, margin, margin + width, margin + height
    turned = Image.fromarray(mask).rotate(angle, Image.Resampling.NEAREST, fillcolor=IGNORED)
    return image.rotate(angle, Image.Resampling.BILINEAR).crop(frame), np.array(turned.crop(frame))


def off_centre(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Shifted by a quarter of width and height, in one of the four diagonal directions."""
    width, height = image.size
    down, right = (numbers.choice((-1, 1), 2) * np.round((SHIFT * height, SHIFT * width))).astype(int).tolist()
    margins = (max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0))
    image, mask = _surrounded(image, mask, margins)
    top, left = margins[0][1], margins[1][1]
    return image.crop((left, top, left + width, top + height)), mask[top : top + height, left : left + width]


def small(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Half as wide and high, in the middle of a frame of the original size."""
    size = [max(1, round(SMALL * side)) for side in image.size]
    spare = [whole - side for whole, side in zip(image.size, size, strict=True)]
    margins = [(each // 2, each - each // 2) for each in reversed(spare)]
    shrunk = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    return _surrounded(image.resize(size, Image.Resampling.BILINEAR), shrunk, (margins[0], margins[1]))


def dark(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Gamma 2.5; a constant factor would vanish in a normalisation of each image."""
    return _with_values(image, lambda value: 255 * (value / 255) ** 2.5), mask


def bright(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Overexposed: twice as bright, which cuts off the highlights."""
    return _with_values(image, lambda value: 2 * value), mask


def pale(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Three tenths of the contrast, and bright, as in fog: nothing but rounding if each image is normalised."""
    return _with_values(image, lambda value: 0.3 * value + 150), mask


def blurred(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """By a Gaussian of 2 % of the longer side."""
    return image.filter(ImageFilter.GaussianBlur(BLUR * max(image.size))), mask


def noisy(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Gaussian noise of 25 of 255, as the network sees it."""
    noise = numbers.standard_normal((3, *seen), np.float32)
    grids = [Image.fromarray(channel) for channel in noise]
    if seen != image.size[::-1]:
        grids = [grid.resize(image.size, Image.Resampling.BICUBIC) for grid in grids]
    kept = np.std([grid.resize(seen[::-1], Image.Resampling.BILINEAR) for grid in grids])
    pixels = np.asarray(image) + NOISE / kept * np.stack(grids, axis=-1)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), mask


def compressed(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """JPEG of quality 5, at most 256 px wide and high."""
    reduced = image.copy()
    reduced.thumbnail((JPEG_SIDE, JPEG_SIDE), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    reduced.save(content, format="JPEG", quality=JPEG_QUALITY)
    return Image.open(content).convert("RGB").resize(image.size, Image.Resampling.BILINEAR), mask


def grey(image: Image.Image, mask: np.ndarray, numbers: np.random.Generator, seen: tuple[int, int]) -> Pair:
    """Without colour."""
    return image.convert("L").convert("RGB"), mask


DAMAGES: dict[str, Damage] = {
    "clean": clean,
    "rotated by ±30°": rotated,
    "off-centre by 25 %": off_centre,
    "small, half the size": small,
    "dark, gamma 2.5": dark,
    "bright, exposure × 2": bright,
    "pale, contrast × 0.3": pale,
    "greyscale": grey,
    "blurred, σ 2 % of side": blurred,
    "noisy, σ 25": noisy,
    "JPEG quality 5, 256 px": compressed,
}


def _surrounded(image: Image.Image, mask: np.ndarray, margins: Margins) -> Pair:
    """With margins: of the image its reflection, of the mask ignored pixels."""
    pixels = np.pad(np.asarray(image), (*margins, (0, 0)), mode="symmetric")
    return Image.fromarray(pixels), np.pad(mask, margins, constant_values=IGNORED)


def _with_values(image: Image.Image, change: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    table = change(np.arange(256.0)).round().clip(0, 255).astype(int).tolist()
    return image.point(table * 3)


def draws(seed: int, row: int) -> np.random.Generator:
    """The random numbers of one picture."""
    return np.random.Generator(np.random.Philox(key=seed, counter=(0, 0, 0, row)))


def probabilities(model: Model, pictures: Sequence[Opened]) -> list[Tensor]:
    """Foreground probabilities as they are scored: ``float32 (H, W)`` at network size with its padding, or ``(h, w)``
    at the original size if the model works on tiles."""
    windows = model.rows(pictures)
    return [model.assemble(each, windows) for each in pictures] if model.resize == "tile" else list(windows)


def counts(model: Model, pairs: Sequence[Pair]) -> list[np.ndarray]:
    """Counts ``int64 (4,)`` of each pair, as ``segkit.models.counts``."""
    opened = [model.open(image) for image, _ in pairs]
    found = []
    for picture, seen, (_, labels) in zip(opened, probabilities(model, opened), pairs, strict=True):
        mask = resolve_border(labels, model.metadata["border"])
        if model.resize != "tile":
            mask = rows(picture.image, mask, picture.boxes, tuple(model.metadata["input_size"]))[1][0]
        prediction = heads.predict(seen, model.metadata["threshold"])
        found.append(count(prediction[None], torch.tensor(mask)[None])[0].numpy())
    return found


def seen_size(model: Model, image: Image.Image) -> tuple[int, int]:
    """Height and width at which the model sees the whole picture."""
    box, *others = model.open(image).boxes
    return image.size[::-1] if others else (box.content_height, box.content_width)


def measure(models: Sequence[Model], samples: Sequence[Sample], seed: int) -> dict[str, np.ndarray]:
    """Dice ``float64 (len(models), len(samples))`` under each damage; raises InputError for an unusable picture."""
    found: dict[str, list[list[np.ndarray]]] = {name: [[] for _ in models] for name in DAMAGES}
    with bar(label="robustness", total=len(samples), unit="img") as progress:
        for start in range(0, len(samples), CHUNK):
            pairs = [_read(sample) for sample in samples[start : start + CHUNK]]
            for name, damage in DAMAGES.items():
                for model, known in zip(models, found[name], strict=True):
                    damaged = [
                        damage(image, labels, draws(seed, row), seen_size(model, image))
                        for row, (image, labels) in enumerate(pairs, start)
                    ]
                    known += counts(model, damaged)
            progress.update(len(pairs))
    return {name: np.stack([dice_per_image(np.array(each)) for each in known]) for name, known in found.items()}


def _read(sample: Sample) -> Pair:
    try:
        return read_pair(sample, Reading(Trimaps(), border="foreground"))
    except UnusableFile as fault:
        raise InputError(f"{sample.picture}: {fault}; remove it from test.txt") from None


def table(found: dict[str, np.ndarray]) -> str:
    """Mean Dice in Markdown: a row for each damage, a column for each checkpoint (A, B, …), and the last difference."""
    letters = [chr(ord("A") + column) for column in range(len(found["clean"]))]
    titles = [*letters, f"{letters[-1]} − {letters[-2]}"] if len(letters) > 1 else letters
    lines = [["corruption", *titles], ["---", *["---:"] * len(titles)]]
    for name, dice in found.items():
        cells = [f"{mean:.4f}" for mean in dice.mean(axis=1)]
        if len(dice) > 1:
            difference, half = last_difference(dice)
            cells.append(f"{difference:+.4f} ± {half:.4f}")
        lines.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def last_difference(dice: np.ndarray) -> tuple[float, float]:
    """The mean over the pictures of last row minus last but one, and half the width of its 95 % interval."""
    differences = dice[-1] - dice[-2]
    spread = differences.std(ddof=1) if len(differences) > 1 else 0.0
    return float(differences.mean()), float(1.96 * spread / np.sqrt(len(differences)))


def main() -> int:
    """Print the table and, on request, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument(
        "--raw", type=Path, default=Path("data/raw/download"), help="images in the layout of Oxford-IIIT Pet"
    )
    parser.add_argument("--images", type=int, help="only so many of the test list")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        if len(options.checkpoints) > MOST:
            raise InputError(f"{len(options.checkpoints)} checkpoints: a table holds {MOST}; measure them in parts")
        samples = [sample for sample in read_catalog(options.raw, valid_every=10) if sample.split == "test"]
        samples = samples[: options.images]
        if not all(sample.trimap for sample in samples):
            raise InputError(f"{options.raw} has masks of its own; name a folder in the layout of Oxford-IIIT Pet")
        found = measure([load(path) for path in options.checkpoints], samples, options.seed)
        for column, path in enumerate(options.checkpoints):
            print(f"{chr(ord('A') + column)}: {path}")
        print(f"{len(samples):,} pictures\n\n{table(found)}")
        if options.json:
            keys = {name: damage.__name__ for name, damage in DAMAGES.items()}
            scores = {keys[name]: np.round(dice.mean(axis=1), 6).tolist() for name, dice in found.items()}
            differences = {keys[name]: last_difference(dice) for name, dice in found.items() if len(dice) > 1}
            names = [str(path) for path in options.checkpoints]
            result = {"checkpoints": names, "sha256": [digest(path) for path in options.checkpoints]}
            result |= {"images": len(samples), "seed": options.seed, "dice": scores}
            write_json(options.json, result | {"difference_and_half_interval": differences})

    return run_command("robustness", work)


if __name__ == "__main__":
    sys.exit(main())
