"""Decode, resize and pack a raw data set into ``.npy`` files, on all cores, in memory that does not grow.

Workers are threads: Pillow decodes and resizes without the interpreter lock, and each writes its own rows.
"""

import math
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from segkit.data.catalog import SPLITS, Sample, read_catalog
from segkit.data.packed import SAMPLE_COLUMNS, Rows
from segkit.data.pictures import UnusableFile, read_pair, refuse_strange, trimap_to_mask
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
    images = _Rows(folder / "images.npy", (len(samples), height, width, 3))
    masks = _Rows(folder / "masks.npy", (len(samples), height, width))
    indices = iter(range(0, len(samples), CHUNK))

    def pack_chunk(start: int) -> list[Packed]:
        stop = min(start + CHUNK, len(samples))
        return [_pack(samples[i], i, options, images, masks) for i in range(start, stop)]

    results: list[Packed] = []
    for chunk in _bounded_map(pack_chunk, indices, workers):
        results += chunk
        progress.update(len(chunk))
    results.sort(key=lambda result: result.index)
    bad = [result.index for result in results if result.fault is not None]
    for rows in (images, masks):
        rows.close()
        if bad and len(bad) < len(samples):
            _drop_rows(rows.path, bad)
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


def _pack(sample: Sample, row: int, options: Preprocess, images: "_Rows", masks: "_Rows") -> Packed:
    height, width = options.size
    try:
        picture, trimap = read_pair(sample.picture, sample.mask, at_least=(width, height))
        refuse_strange(trimap)
    except UnusableFile as fault:
        return Packed(row, fault=str(fault))
    image = picture.resize((width, height), Image.Resampling.BILINEAR)
    mask = trimap_to_mask(np.asarray(trimap.resize((width, height), Image.Resampling.NEAREST)), options.border)
    images.write(row, image.tobytes())
    masks.write(row, mask.tobytes())
    histogram = np.reshape(image.histogram(), (3, 256))
    values = np.arange(256)
    counts = np.bincount(mask.reshape(-1), minlength=256)
    return Packed(
        row,
        trimap.width,
        trimap.height,
        np.stack([histogram @ values, histogram @ values**2]),
        int(counts[1]),
        int(mask.size - counts[IGNORED]),
    )


class _Rows:
    """A ``.npy`` file of ``uint8`` that threads fill row by row.

    Written, not mapped: what is written leaves resident memory, and a full disk is an OSError.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by close)
        npy.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        self._start, self._row = self._file.tell(), math.prod(shape[1:])
        if hasattr(os, "posix_fallocate"):  # a disk too small says so now, not after an hour
            os.posix_fallocate(self._file.fileno(), self._start, math.prod(shape))

    def write(self, row: int, values: bytes) -> None:
        """Write one row; any thread may."""
        data, place = memoryview(values), self._start + row * self._row
        while data:
            written = os.pwrite(self._file.fileno(), data, place)
            data, place = data[written:], place + written

    def close(self) -> None:
        """Close the file, when all rows are on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()


def _drop_rows(path: Path, bad: list[int]) -> None:
    rows = Rows(path)
    kept = np.setdiff1d(np.arange(len(rows)), bad)
    compact = _Rows(path.with_suffix(".kept"), (len(kept), *rows.shape[1:]))
    for new, old in enumerate(kept.tolist()):
        compact.write(new, rows[old].tobytes())
    compact.close()
    compact.path.replace(path)


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
