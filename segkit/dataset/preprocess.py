"""Decode, resize and pack a raw data set into ``.npy`` files, on all cores, with constant memory.

Workers are threads: Pillow decodes and resizes without the interpreter lock. Rows are written in order, not mapped, so
that resident memory is constant and a full disk is an OSError.
"""

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from numpy.lib import format as npy

from segkit.base.files import atomic_folder, digest, write_csv, write_json
from segkit.base.packed import ORIGINAL_MASKS, SAMPLE_COLUMNS, summary_digest
from segkit.base.params import Folder, Preprocess
from segkit.base.workspace import cores
from segkit.dataset.catalog import SPLITS, read_catalog
from segkit.dataset.excluded import without_excluded
from segkit.dataset.findings import Findings
from segkit.dataset.packing import Packed, pack
from segkit.dataset.survey import survey


def preprocess(
    raw: Path,
    target: Path,
    options: Preprocess,
    workers: int = 0,
    folder: Folder | None = None,
    source: str | None = None,
    exclude: Path | None = None,
) -> dict[str, Any]:
    """Pack all samples of ``raw`` into ``target`` and return the summary that it wrote there.

    ``folder``: how to read a user's own files, for a ``raw`` that holds them. ``source``: where ``raw`` is from, which
    the summary records. ``exclude``: a list of samples that are left out (``segkit.dataset.excluded``).

    Raises InputError if the list is faulty or the user's masks are ambiguous, and InputError that lists every sample
    that cannot be used, with its reason, if ``options.on_bad``, ``on_empty`` or ``on_duplicate`` is ``fail``; with
    ``skip`` they are left out and listed in the summary.
    """
    workers = workers or cores()
    look = survey(read_catalog(raw, options.valid_every), options, folder, workers)
    samples, excluded = without_excluded(look.samples, exclude)
    findings = Findings(options)
    with atomic_folder(target) as place, ExitStack() as stack:
        files = {split: stack.enter_context(_Rows(place / split, options.size)) for split in SPLITS}
        for result in pack(samples, look.reading, options, workers):
            findings.add(result)
            files[result.sample.split].add(result)
        findings.refuse()
        stack.close()
        rows = (row for split in SPLITS for row in _table(split, findings.kept[split]))
        write_csv(place / "samples.csv", SAMPLE_COLUMNS, rows)
        names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        with ThreadPoolExecutor(workers) as pool:
            digests = dict(zip(names, pool.map(lambda name: digest(place / name), names), strict=True))
        summary = {"source": source} | findings.summary() | look.summary() | {"excluded": excluded, "files": digests}
        write_json(place / "summary.json", summary | {"sha256": summary_digest(summary)})
    return summary


class _Rows:
    """One split being written to ``folder``: images and masks, and those of the test set at their own sizes."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        folder.mkdir()
        self._count, self._shapes = 0, ((*size, 3), size)
        self._files = [open(folder / name, "wb") for name in ("images.npy", "masks.npy")]  # noqa: SIM115 (__exit__)
        self._write_headers()
        self._originals = zipfile.ZipFile(folder / ORIGINAL_MASKS, "w") if folder.name == "test" else None

    def add(self, result: Packed) -> None:
        """Write the next sample's rows and release its pixels."""
        if not result.fault:
            self._count += len(result.windows)
            for file, values in zip(self._files, (result.images, result.masks), strict=True):
                file.write(values)
            if self._originals:  # a new ZipInfo has a constant date
                self._originals.writestr(zipfile.ZipInfo(f"{result.sample.name}.png"), result.original_mask)
        result.release()

    def _write_headers(self) -> None:
        """numpy pads its header, so the final one fits in the place of the first."""
        for file, shape in zip(self._files, self._shapes, strict=True):
            file.seek(0)
            header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *shape)}
            npy.write_array_header_1_0(file, header)

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *error: object) -> None:
        self._write_headers()
        for file in (*self._files, *filter(None, [self._originals])):
            file.close()


def _table(split: str, kept: list[Packed]) -> Iterator[tuple]:
    """The lines of ``samples.csv`` of one split."""
    boxes = ((result, box) for result in kept for box in result.windows)
    for row, (result, box) in enumerate(boxes):
        yield (split, row, result.sample.name, result.sample.group, result.width, result.height, *vars(box).values())
