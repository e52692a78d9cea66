"""Decode, resize and pack a raw data set into memory maps, on all cores, in memory that does not grow.

Workers are threads: Pillow decodes and resizes without the interpreter lock, and each writes its own rows.
"""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segkit.data.catalog import SPLITS, Sample, read_catalog
from segkit.data.packed import SAMPLE_COLUMNS
from segkit.data.pictures import UnusableFile, read_pair, trimap_to_mask
from segkit.errors import InputError
from segkit.files import atomic_folder, digest, write_csv, write_json
from segkit.labels import IGNORED
from segkit.params import Preprocess
from segkit.progress import bar
from segkit.workspace import cores

CHUNK = 16
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@dataclass
class Packed:
    """What one worker made of one sample: its original size and exact sums, or why it could not be used."""

    index: int
    width: int = 0
    height: int = 0
    sums: np.ndarray | None = None  # int64 (2, 3): sum and sum of squares of each channel
    foreground: int = 0
    counted: int = 0
    fault: str | None = None


def preprocess(raw: Path, target: Path, options: Preprocess, workers: int = 0) -> dict[str, Any]:
    """Pack all samples of ``raw`` into ``target`` and return the summary that it wrote there.

    Raises InputError that lists every file that cannot be used, with its reason, when ``options.on_bad`` is
    ``fail``; with ``skip`` they are left out and listed in the summary.
    """
    samples = read_catalog(raw)
    with atomic_folder(target) as folder:
        rows, statistics, faults = [], {}, {}
        total = bar(label="preprocess", total=len(samples), unit="img")
        for split in SPLITS:
            chosen = [sample for sample in samples if sample.split == split]
            results = _pack_split(folder / split, chosen, options, workers or cores(), total)
            kept = [result for result in results if result.fault is None]
            faults |= {chosen[result.index].name: result.fault for result in results if result.fault is not None}
            rows += [
                (split, row, chosen[result.index].name, chosen[result.index].group, result.width, result.height)
                for row, result in enumerate(kept)
            ]
            statistics[split] = kept
        total.close()
        _refuse(faults, statistics, options)
        write_csv(folder / "samples.csv", SAMPLE_COLUMNS, rows)
        summary = _summary(folder, options, statistics, faults)
        write_json(folder / "summary.json", summary)
    return summary


def _refuse(faults: dict[str, str], statistics: dict[str, list[Packed]], options: Preprocess) -> None:
    if faults and options.on_bad == "fail":
        listed = ", ".join(f"{name} ({reason})" for name, reason in sorted(faults.items()))
        raise InputError(
            f"{len(faults)} of {len(faults) + sum(map(len, statistics.values()))} samples cannot be used: {listed}; "
            "mend them, or set preprocess.on_bad to skip"
        )
    for split, kept in statistics.items():
        if not kept:
            raise InputError(f"no usable sample is left in the {split} set: {dict(list(faults.items())[:5])}")
        if not any(result.counted for result in kept):
            raise InputError(f"every pixel of the {split} set is ignored; set preprocess.border to foreground")


def _pack_split(folder: Path, samples: list[Sample], options: Preprocess, workers: int, progress: Any) -> list[Packed]:
    """Write ``images.npy`` and ``masks.npy`` of the usable samples, in order; return one result a sample."""
    folder.mkdir()
    height, width = options.size
    shapes = {"images": (len(samples), height, width, 3), "masks": (len(samples), height, width)}
    arrays = {name: _create(folder / f"{name}.npy", shape) for name, shape in shapes.items()}
    indices = iter(range(0, len(samples), CHUNK))

    def pack_chunk(start: int) -> list[Packed]:
        stop = min(start + CHUNK, len(samples))
        return [_pack(samples[i], i, options, arrays["images"], arrays["masks"]) for i in range(start, stop)]

    results: list[Packed] = []
    for chunk in _bounded_map(pack_chunk, indices, workers):
        results += chunk
        progress.update(len(chunk))
    results.sort(key=lambda result: result.index)
    bad = [result.index for result in results if result.fault is not None]
    for name, array in arrays.items():
        array.flush()
        if bad and len(bad) < len(samples):
            _drop_rows(folder / f"{name}.npy", array, bad)
    return results


def _bounded_map(function: Any, items: Iterator[int], workers: int) -> Iterator[Any]:
    """Results as they come, with no more than two items a worker in flight."""
    with ThreadPoolExecutor(workers) as pool:
        pending = {pool.submit(function, item) for item in islice(items, 2 * workers)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                pending |= {pool.submit(function, item) for item in islice(items, 1)}
                yield future.result()


def _pack(sample: Sample, row: int, options: Preprocess, images: np.ndarray, masks: np.ndarray) -> Packed:
    try:
        picture, labels = read_pair(sample.picture, sample.mask)
        original = trimap_to_mask(np.asarray(labels), options.border)
    except UnusableFile as fault:
        return Packed(row, fault=str(fault))
    height, width = options.size
    image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    mask = np.asarray(Image.fromarray(original).resize((width, height), Image.Resampling.NEAREST))
    images[row], masks[row] = image, mask
    pixels = image.reshape(-1, 3).astype(np.int64)
    return Packed(
        row,
        picture.width,
        picture.height,
        np.stack([pixels.sum(0), (pixels**2).sum(0)]),
        int((mask == 1).sum()),
        int((mask != IGNORED).sum()),
    )


def _create(path: Path, shape: tuple[int, ...]) -> np.memmap:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # claims the space now: a full disk would otherwise end the process by a signal at some write into the map
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _drop_rows(path: Path, array: np.memmap, bad: list[int]) -> None:
    kept = np.setdiff1d(np.arange(len(array)), bad)
    compact = _create(path.with_suffix(".kept"), (len(kept), *array.shape[1:]))
    for start in range(0, len(kept), CHUNK):
        compact[start : start + CHUNK] = array[kept[start : start + CHUNK]]
    compact.flush()
    path.with_suffix(".kept").replace(path)


def _summary(
    folder: Path, options: Preprocess, statistics: dict[str, list[Packed]], faults: dict[str, str]
) -> dict[str, Any]:
    """Sizes, class balance, statistics of the training set in units of 0 to 1, and fingerprints."""
    pixels = len(statistics["train"]) * options.size[0] * options.size[1]
    total, squares = np.sum([result.sums for result in statistics["train"]], axis=0) / pixels
    return {
        "size": list(options.size),
        "border": options.border,
        "splits": {
            split: {
                "images": len(kept),
                "foreground": sum(r.foreground for r in kept) / max(1, sum(r.counted for r in kept)),
                "images_sha256": digest(folder / split / "images.npy"),
                "masks_sha256": digest(folder / split / "masks.npy"),
            }
            for split, kept in statistics.items()
        },
        "normalize": {
            "image": None,
            "dataset": {"mean": (total / 255).tolist(), "std": (np.sqrt(squares - total**2) / 255).tolist()},
            "imagenet": IMAGENET,
        },
        "skipped": dict(sorted(faults.items())),
    }
