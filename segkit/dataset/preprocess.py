"""Decode, resize and pack a raw data set into ``.npy`` files, on all cores, in memory that does not grow.

Workers are threads: Pillow decodes and resizes without the interpreter lock, and each writes its own rows.
"""

import hashlib
import io
import math
import os
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.files import atomic_folder, digest, write_csv, write_json
from segkit.base.packed import IGNORED, ORIGINAL_MASKS, SAMPLE_COLUMNS, Rows, summary_digest
from segkit.base.params import Preprocess
from segkit.base.progress import bar
from segkit.base.workspace import cores
from segkit.dataset.catalog import SPLITS, Sample, read_catalog
from segkit.dataset.decode import UnusableFile
from segkit.dataset.findings import Packed, doubles, leave_out_leaks, refuse, twins
from segkit.dataset.pictures import PET, as_trimap, is_empty, read_pair, trimap_to_mask

CHUNK = 8
POWERS = np.stack([np.arange(256), np.arange(256) ** 2])
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def preprocess(raw: Path, target: Path, options: Preprocess, workers: int = 0) -> dict[str, Any]:
    """Pack all samples of ``raw`` into ``target`` and return the summary that it wrote there.

    Raises InputError that lists every sample that cannot be used, with its reason, where ``options.on_bad``,
    ``on_empty`` or ``on_duplicate`` says ``fail``; with ``skip`` they are left out and listed in the summary.
    """
    samples, workers = read_catalog(raw, options.valid_every), workers or cores()
    with atomic_folder(target) as folder, ExitStack() as files:
        splits = [_Split(name, folder / name, [s for s in samples if s.split == name], options) for name in SPLITS]
        for split in splits:
            files.callback(split.close)
        chunks = ((split, start) for split in splits for start in range(0, len(split.samples), CHUNK))
        with bar(label="preprocess", total=len(samples), unit="img") as progress:
            for split, results in _bounded_map(partial(_pack_chunk, options=options), chunks, workers):
                split.take(results)
                progress.update(len(results))
        pairs = twins(result for split in splits for result in split.results)
        if options.on_duplicate != "report":
            leave_out_leaks(pairs)
        for split in splits:
            split.sort_out()
        _refuse(splits, options)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(_Split.finish, splits))
            write_csv(folder / "samples.csv", SAMPLE_COLUMNS, [row for split in splits for row in split.table()])
            names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            digests = dict(zip(names, pool.map(lambda name: digest(folder / name), names), strict=True))
        summary = _summary(splits, options) | doubles(pairs) | {"files": digests}
        write_json(folder / "summary.json", summary | {"sha256": summary_digest(summary)})
    return summary


class _Split:
    """One split being written to ``folder``: ``images.npy`` and ``masks.npy``, one row per sample, and the results."""

    def __init__(self, name: str, folder: Path, samples: list[Sample], options: Preprocess) -> None:
        folder.mkdir()
        self.name, self.samples = name, samples
        self.images = _Rows(folder / "images.npy", (len(samples), *options.size, 3))
        self.masks = _Rows(folder / "masks.npy", (len(samples), *options.size))
        self.original_masks = zipfile.ZipFile(folder / ORIGINAL_MASKS, "w") if name == "test" else None
        self.results: list[Packed] = []
        self.kept: list[Packed] = []
        self.left_out: list[Packed] = []

    def take(self, results: list[Packed]) -> None:
        """Add the next results; their masks at original size are written and dropped from memory."""
        for result in results:
            if result.original_mask:
                # a new ZipInfo has a constant date
                self.original_masks.writestr(zipfile.ZipInfo(f"{result.sample.name}.png"), result.original_mask)
                result.original_mask = b""
        self.results += results

    def sort_out(self) -> None:
        """Divide the results into those that are kept and those that are left out."""
        self.kept = [result for result in self.results if result.fault is None]
        self.left_out = [result for result in self.results if result.fault is not None]

    def table(self) -> Iterator[tuple[Any, ...]]:
        """The split's rows of ``samples.csv``."""
        for row, r in enumerate(self.kept):
            yield self.name, row, r.sample.name, r.sample.group, r.width, r.height

    def finish(self) -> None:
        """Close the files when all is on the disk, without the rows of samples that are left out."""
        for rows in (self.images, self.masks):
            rows.finish()
            if self.left_out:
                _drop_rows(rows.path, [result.index for result in self.left_out])
        self.close()

    def close(self) -> None:
        """Close the files, finished or not."""
        if self.original_masks:
            self.original_masks.close()
        self.images.close()
        self.masks.close()


def _as_png(mask: np.ndarray) -> bytes:
    """A mask ``uint8 (h, w)`` as a PNG file; equal masks give equal bytes."""
    content = io.BytesIO()
    Image.fromarray(mask).save(content, format="PNG", compress_level=1)
    return content.getvalue()


def _refuse(splits: list[_Split], options: Preprocess) -> None:
    left_out = [result for split in splits for result in split.left_out]
    refuse(left_out, sum(len(split.samples) for split in splits), options)
    kept = [result for split in splits for result in split.kept]
    if kept and not any(result.background or result.sample.trimap for result in kept):
        raise InputError(
            "data.folder.masks: no mask has a pixel of 0, which means background; save them with 0 for background and "
            "run 'dvc repro -f download'"
        )
    for split in splits:
        if not split.kept:
            reasons = {result.sample.name: result.fault for result in left_out[:5]}
            raise InputError(f"no usable sample is left in the {split.name} set: {reasons}")
        if not any(result.counted for result in split.kept):
            raise InputError(f"every pixel of the {split.name} set is ignored; set preprocess.border to foreground")


def _bounded_map(function: Any, items: Iterator[Any], workers: int) -> Iterator[Any]:
    """Results in order, with no more than two items a worker in flight."""
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(function, item) for item in islice(items, 2 * workers))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(items, 1))
            yield result


def _pack_chunk(chunk: tuple[_Split, int], options: Preprocess) -> tuple[_Split, list[Packed]]:
    split, start = chunk
    stop = min(start + CHUNK, len(split.samples))
    return split, [_pack(split, row, options) for row in range(start, stop)]


def _pack(split: _Split, row: int, options: Preprocess) -> Packed:
    sample, (height, width) = split.samples[row], options.size
    try:
        image, labels = read_pair(sample.picture, sample.mask, options.size)
        trimap = labels if sample.trimap else as_trimap(labels)
        mask = trimap_to_mask(trimap, options.border, (width, height))
    except UnusableFile as fault:
        return Packed(sample, row, fault=str(fault))
    if options.on_empty != "keep" and is_empty(trimap, options.border):
        return Packed(sample, row, fault="the mask has no foreground", key="on_empty")
    pixels, values = image.tobytes(), mask.tobytes()
    split.images.write(row, pixels)
    split.masks.write(row, values)
    return Packed(
        sample,
        row,
        trimap.width,
        trimap.height,
        sums=POWERS @ np.reshape(image.histogram(), (3, 256)).T,
        foreground=int(np.count_nonzero(mask == 1)),
        counted=int(np.count_nonzero(mask != IGNORED)),
        picture_digest=_fingerprint(pixels),
        mask_digest=_fingerprint(values),
        background=trimap.getextrema()[1] != PET,
        original_mask=_as_png(trimap_to_mask(trimap, options.border)) if sample.split == "test" else b"",
    )


def _fingerprint(values: bytes) -> bytes:
    return hashlib.blake2b(values, digest_size=16).digest()


class _Rows:
    """A ``.npy`` file of ``uint8`` that threads fill row by row.

    Written, not mapped: resident memory stays flat, and a full disk is an OSError.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by close)
        npy.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        self._start, self._row = self._file.tell(), math.prod(shape[1:])
        if hasattr(os, "posix_fallocate") and (size := math.prod(shape)):
            os.posix_fallocate(self._file.fileno(), self._start, size)  # a full disk is reported now, not in an hour

    def write(self, row: int, values: bytes) -> None:
        """Write one row; any thread may."""
        data, place = memoryview(values), self._start + row * self._row
        while data:
            written = os.pwrite(self._file.fileno(), data, place)
            data, place = data[written:], place + written

    def finish(self) -> None:
        """Close the file when all rows are on the disk."""
        os.fsync(self._file.fileno())
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()


def _drop_rows(path: Path, dropped: list[int]) -> None:
    rows = Rows(path)
    kept = np.setdiff1d(np.arange(len(rows)), dropped)
    compact = _Rows(path.with_suffix(".kept"), (len(kept), *rows.shape[1:]))
    for new, old in enumerate(kept.tolist()):
        compact.write(new, rows[old].tobytes())
    compact.finish()
    compact.path.replace(path)


def _summary(splits: list[_Split], options: Preprocess) -> dict[str, Any]:
    """Sizes, class balance, and statistics of the training set in units of 0 to 1."""
    train = splits[SPLITS.index("train")].kept
    pixels = len(train) * options.size[0] * options.size[1]
    total, squares = np.sum([result.sums for result in train], axis=0) / pixels
    return {
        "size": list(options.size),
        "border": options.border,
        "splits": {
            split.name: {
                "images": len(split.kept),
                "foreground": sum(r.foreground for r in split.kept) / max(1, sum(r.counted for r in split.kept)),
            }
            for split in splits
        },
        "normalize": {
            "image": None,
            "dataset": {"mean": (total / 255).tolist(), "std": (np.sqrt(squares - total**2) / 255).tolist()},
            "imagenet": IMAGENET,
        },
        "skipped": dict(sorted((r.sample.name, r.fault) for split in splits for r in split.left_out)),
    }
