"""Speed of the preprocess stage, and its upper bound: Pillow decoding the same files on all cores, without output.

    python -m benchmarks.preprocess_speed --raw data/raw/download [--size 128] [--rounds 7] [--json FILE]

There are two bounds: decoding the images alone, and images and masks. Both decode at full size. preprocess may decode
a JPEG at a fraction of its size if that is enough, but it also resizes, counts, hashes and writes.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.common import median, params_at, report, seconds
from segkit.base.command import run_command
from segkit.base.workspace import cores
from segkit.dataset import packing
from segkit.dataset.catalog import Sample, read_catalog
from segkit.dataset.pictures import Reading
from segkit.dataset.preprocess import preprocess


def decode(paths: list[Path]) -> None:
    for path in paths:
        Image.open(path).load()


def decode_all(pool_class: type, paths: list[Path]) -> float:
    """Seconds that a pool of one worker per core takes to decode all ``paths``, without the start of the pool."""
    chunks = [paths[start : start + 16] for start in range(0, len(paths), 16)]
    with pool_class(cores()) as pool:
        list(pool.map(decode, [[]] * cores()))
        return seconds(lambda: list(pool.map(decode, chunks)))


def whole(sample: Sample, reading: Reading, size: object, read_pair: Callable = packing.read_pair) -> tuple:
    """``read_pair`` that always decodes at full size."""
    return read_pair(sample, reading)


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        settings = params_at(options.size).preprocess
        samples = read_catalog(options.raw, settings.valid_every)
        pictures, masks = [s.picture for s in samples], [mask for s in samples for mask in s.masks]
        rounds: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            run = partial(preprocess, options.raw, Path(folder) / "out", settings)
            run()
            reduced = packing.read_pair
            for _ in range(options.rounds):
                found = {
                    "pictures": min(decode_all(pool, pictures) for pool in (ThreadPoolExecutor, ProcessPoolExecutor)),
                    "pictures_and_masks": min(
                        decode_all(pool, pictures + masks) for pool in (ThreadPoolExecutor, ProcessPoolExecutor)
                    ),
                    "preprocess": seconds(run),
                }
                packing.read_pair = whole
                found["preprocess_whole_pictures"] = seconds(run)
                packing.read_pair = reduced
                for name, value in found.items():
                    rounds.setdefault(name, []).append(value)
        count = len(samples)
        result = {f"{name}_images_per_second": median([count / s for s in times], 1) for name, times in rounds.items()}
        for limit in ("pictures", "pictures_and_masks"):
            ratios = [a / b for a, b in zip(rounds["preprocess"], rounds[limit], strict=True)]
            result[f"time_over_{limit}"] = median(ratios)
        report(result | {"samples": count, "size": options.size}, options.json)

    return run_command("preprocess_speed", work)


if __name__ == "__main__":
    sys.exit(main())
