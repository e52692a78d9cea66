"""Decode, resize and pack a raw data set into ``.npy`` files, on all cores, with constant memory.

Workers are threads: Pillow decodes and resizes without the interpreter lock. Rows are written in order, not mapped, so
that resident memory is constant and a full disk is an OSError.
"""

import io
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
from segkit.base.packed import IGNORED, ORIGINAL_MASKS, SAMPLE_COLUMNS, summary_digest
from segkit.base.params import Preprocess
from segkit.base.progress import bar
from segkit.base.workspace import cores
from segkit.dataset.catalog import SPLITS, Sample, read_catalog
from segkit.dataset.decode import UnusableFile
from segkit.dataset.findings import PRECEDENCE, Duplicates, Packed, refuse
from segkit.dataset.pictures import PET, as_trimap, is_empty, read_pair, trimap_to_mask

CHUNK = 8
POWERS = np.stack([np.arange(256), np.arange(256) ** 2])
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def preprocess(raw: Path, target: Path, options: Preprocess, workers: int = 0) -> dict[str, Any]:
    """Pack all samples of ``raw`` into ``target`` and return the summary that it wrote there.

    Raises InputError that lists every sample that cannot be used, with its reason, if ``options.on_bad``,
    ``on_empty`` or ``on_duplicate`` is ``fail``; with ``skip`` they are left out and listed in the summary.
    """
    samples, workers = read_catalog(raw, options.valid_every), workers or cores()
    with atomic_folder(target) as folder, ExitStack() as stack:
        splits = {name: stack.enter_context(_Split(folder / name, samples, options)) for name in PRECEDENCE}
        ordered = [sample for split in splits.values() for sample in split.samples]
        duplicates = Duplicates(skip=options.on_duplicate != "report")
        with bar(label="preprocess", total=len(ordered), unit="img") as progress:
            chunks = (ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK))
            for results in _bounded_map(partial(_pack_chunk, options=options), chunks, workers):
                for result in results:
                    duplicates.add(result)
                    splits[result.sample.split].add(result)
                progress.update(len(results))
        splits = {name: splits[name] for name in SPLITS}
        _refuse(splits, options)
        stack.close()
        table = ([name, row, *r.row()] for name, split in splits.items() for row, r in enumerate(split.kept))
        write_csv(folder / "samples.csv", SAMPLE_COLUMNS, table)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with ThreadPoolExecutor(workers) as pool:
            digests = dict(zip(names, pool.map(lambda name: digest(folder / name), names), strict=True))
        summary = _summary(splits, options) | duplicates.summary() | {"files": digests}
        write_json(folder / "summary.json", summary | {"sha256": summary_digest(summary)})
    return summary


class _Split:
    """One split being written to ``folder``: ``images.npy`` and ``masks.npy``, one row per sample that is kept."""

    def __init__(self, folder: Path, samples: list[Sample], options: Preprocess) -> None:
        folder.mkdir()
        self.samples = [sample for sample in samples if sample.split == folder.name]
        self.kept: list[Packed] = []
        self.left_out: list[Packed] = []
        self._files = [open(folder / name, "wb") for name in ("images.npy", "masks.npy")]  # noqa: SIM115 (__exit__)
        self._shapes = (*options.size, 3), options.size
        self._write_headers(len(self.samples))
        self._originals = zipfile.ZipFile(folder / ORIGINAL_MASKS, "w") if folder.name == "test" else None

    def add(self, result: Packed) -> None:
        """Write the next sample's rows and release its pixels."""
        (self.left_out if result.fault else self.kept).append(result)
        if not result.fault:
            for file, values in zip(self._files, (result.image, result.mask), strict=True):
                file.write(values)
            if self._originals:  # a new ZipInfo has a constant date
                self._originals.writestr(zipfile.ZipInfo(f"{result.sample.name}.png"), result.original_mask)
        result.image = result.mask = result.original_mask = b""

    def _write_headers(self, rows: int) -> None:
        """numpy pads its header, so the final one fits in the place of the first."""
        for file, shape in zip(self._files, self._shapes, strict=True):
            file.seek(0)
            npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)})

    def __enter__(self) -> "_Split":
        return self

    def __exit__(self, *error: object) -> None:
        self._write_headers(len(self.kept))
        for file in (*self._files, *filter(None, [self._originals])):
            file.close()


def _as_png(mask: np.ndarray) -> bytes:
    """A mask ``uint8 (h, w)`` as a PNG file; equal masks give equal bytes."""
    content = io.BytesIO()
    Image.fromarray(mask).save(content, format="PNG", compress_level=1)
    return content.getvalue()


def _refuse(splits: dict[str, _Split], options: Preprocess) -> None:
    kept, left_out = ([r for split in splits.values() for r in getattr(split, kind)] for kind in ("kept", "left_out"))
    refuse(left_out, len(kept) + len(left_out), options)
    if kept and not any(result.background or result.sample.trimap for result in kept):
        raise InputError(
            "data.folder.masks: no mask has a pixel with value 0 (background); use 0 for background and run "
            "'dvc repro -f download'"
        )
    for name, split in splits.items():
        if not split.kept:
            reasons = {result.sample.name: result.fault for result in left_out[:5]}
            raise InputError(f"no usable sample is left in the {name} set: {reasons}")
        if not any(result.counted for result in split.kept):
            raise InputError(f"every pixel of the {name} set is ignored; set preprocess.border to foreground")


def _bounded_map(function: Any, items: Iterator[Any], workers: int) -> Iterator[Any]:
    """Results in order, with at most two items per worker in flight."""
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(function, item) for item in islice(items, 2 * workers))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(items, 1))
            yield result


def _pack_chunk(samples: list[Sample], options: Preprocess) -> list[Packed]:
    return [_pack(sample, options) for sample in samples]


def _pack(sample: Sample, options: Preprocess) -> Packed:
    try:
        image, labels = read_pair(sample.picture, sample.mask, options.size)
        trimap = labels if sample.trimap else as_trimap(labels)
        mask = trimap_to_mask(trimap, options.border, options.size[::-1])
    except UnusableFile as fault:
        return Packed(sample, fault=str(fault))
    if options.on_empty != "keep" and is_empty(trimap, options.border):
        return Packed(sample, fault="the mask has no foreground", key="on_empty")
    return Packed(
        sample,
        trimap.width,
        trimap.height,
        image=image.tobytes(),
        mask=mask.tobytes(),
        sums=POWERS @ np.reshape(image.histogram(), (3, 256)).T,
        foreground=int(np.count_nonzero(mask == 1)),
        counted=int(np.count_nonzero(mask != IGNORED)),
        background=trimap.getextrema()[1] != PET,
        original_mask=_as_png(trimap_to_mask(trimap, options.border)) if sample.split == "test" else b"",
    )


def _summary(splits: dict[str, _Split], options: Preprocess) -> dict[str, Any]:
    """Sizes, class balance, and statistics of the training set in units of 0 to 1."""
    train = splits["train"].kept
    pixels = len(train) * options.size[0] * options.size[1]
    total, squares = np.sum([result.sums for result in train], axis=0) / pixels
    return {
        "size": list(options.size),
        "border": options.border,
        "splits": {
            name: {
                "images": len(split.kept),
                "foreground": sum(r.foreground for r in split.kept) / max(1, sum(r.counted for r in split.kept)),
            }
            for name, split in splits.items()
        },
        "normalize": {
            "image": None,
            "dataset": {"mean": (total / 255).tolist(), "std": (np.sqrt(squares - total**2) / 255).tolist()},
            "imagenet": IMAGENET,
        },
        "skipped": dict(sorted((r.sample.name, r.fault) for split in splits.values() for r in split.left_out)),
    }
