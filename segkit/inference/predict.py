"""``segkit predict``: masks for many images, with decoding, network and writing on all cores at once.

Each worker thread reads a few images, runs the network on them and writes the results: libraries release the
interpreter lock, so threads overlap, and on a CPU no core waits for another, as it would if all cores shared a layer.
"""

import hashlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from segkit.base.errors import InputError, counted, one_line
from segkit.base.files import digest
from segkit.base.prefetch import bounded_map
from segkit.base.progress import bar
from segkit.base.workspace import cores
from segkit.dataset.decode import UnusableFile
from segkit.inference.finding import Found
from segkit.inference.model import BATCH, Model, Opened, Prediction, load
from segkit.inference.outputs import Outputs

PIXELS = 2**27  # of images at their full size, in all threads together; a larger image is processed alone
LINE_SECONDS = 30  # between lines about progress where there is no terminal


@dataclass(frozen=True)
class Settings:
    """What to predict with (see ``segkit.inference.model.load``), and what to write to ``out`` (see ``Outputs``).

    ``batch``: rows that the network computes at once. ``resume``: skip images that are done.
    """

    model: Path
    out: Path
    overlay: bool = False
    cutout: bool = False
    probability: int = 0
    json: bool = False
    threshold: float | None = None
    tta: bool = False
    tile: bool = False
    scale: Sequence[float] | None = None
    device: str = "auto"
    precision: str = "fp32"
    batch: int = BATCH
    resume: bool = False


@dataclass(frozen=True)
class Work:
    """Predict images and write their ``outputs``: ``batch`` rows at once, with ``threads`` of the network."""

    model: Model
    outputs: Outputs
    threshold: float
    batch: int
    threads: int
    room: "Room" = field(default_factory=lambda: Room(PIXELS))

    def __call__(self, images: Sequence[Found]) -> list[str]:
        """What is wrong with those of ``images`` that cannot be used, one line each."""
        torch.set_num_threads(self.threads)  # of the network, in this thread
        return list(self._windows(images) if self.model.resize == "tile" else self._whole(images))

    def _windows(self, images: Sequence[Found]) -> Iterator[str]:
        """Images that are cut into windows: each is kept in memory until its results are written."""
        for image in images:
            with self._reporting(image) as faults, self.room.reserved() as reserve:
                self._write(image, *self._blended(self.model.open(image.path, reserve)))
            yield from faults

    def _blended(self, opened: Opened) -> tuple[Tensor, float]:
        """Probabilities of an image from its windows, and the milliseconds that they took."""
        start = time.perf_counter()
        probabilities = self.model.assemble(opened, self.model.rows([opened], self.batch))
        return probabilities, 1000 * (time.perf_counter() - start)

    def _whole(self, images: Sequence[Found]) -> Iterator[str]:
        """Images that are one row each: a few share a batch."""
        opened: list[tuple[Found, Opened]] = []
        for image in images:
            with self._reporting(image) as faults, self.room.reserved() as reserve:
                opened.append((image, self.model.open(image.path, reserve)))
            yield from faults
        start = time.perf_counter()
        rows = list(self.model.rows([each for _, each in opened], self.batch))
        ms = 1000 * (time.perf_counter() - start) / max(1, len(opened))
        for (image, each), row in zip(opened, rows, strict=True):
            with self._reporting(image) as faults, self.room.reserved() as reserve:
                reserve(each)
                self._write(image, self.model.assemble(each, [row]), ms)
            yield from faults

    def _write(self, image: Found, probabilities: Tensor, ms: float) -> None:
        prediction = Prediction(self.model.mask(probabilities, self.threshold), probabilities.numpy())
        self.outputs.write(image, prediction, self.threshold, ms, self.model.scale)

    @staticmethod
    @contextmanager
    def _reporting(image: Found) -> Iterator[list[str]]:
        """Collects why the image cannot be used."""
        faults: list[str] = []
        try:
            yield faults
        except UnusableFile as fault:
            faults.append(one_line(f"{image.path}: {fault}"))


class Room:
    """Pixels that may be in memory at once, over all threads; more than that for one image alone."""

    def __init__(self, pixels: int) -> None:
        self._limit, self._used, self._changed = pixels, 0, threading.Condition()

    @contextmanager
    def reserved(self) -> Iterator[Callable[[Image.Image | Opened], None]]:
        """Yields a function that waits for the pixels of an image, which are given back at the end; to be called once.

        A thread that holds some must not ask for more, or two would wait for each other.
        """
        taken = 0

        def reserve(image: Image.Image | Opened) -> None:
            nonlocal taken
            pixels = image.width * image.height
            with self._changed:
                self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._limit)
                self._used += pixels
            taken = pixels

        try:
            yield reserve
        finally:
            with self._changed:
                self._used -= taken
                self._changed.notify_all()


def predict(images: Sequence[Found], settings: Settings) -> str:
    """Predict all images, write their results and return one line about them.

    An image that cannot be used is reported on stderr, and the others go on. Raises InputError at the end if there was
    one, and at once if the model cannot be used or a result would replace one of the images.
    """
    workers = min(cores(), len(images))
    model = load(
        settings.model,
        settings.device,
        settings.precision,
        threads=max(1, cores() // workers),
        scale=tuple(settings.scale) if settings.scale else None,
        tile=settings.tile or None,
        tta=settings.tta,
    )
    threshold = model.metadata["threshold"] if settings.threshold is None else settings.threshold
    decisive = digest(settings.model), threshold, model.scale, model.resize, model.tta, settings.precision
    made_by = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]
    kinds = {kind: getattr(settings, kind) for kind in ("overlay", "cutout", "probability", "json")}
    outputs = Outputs(settings.out, made_by, **kinds)
    outputs.refuse_sources(images)
    left = [image for image in images if not (settings.resume and outputs.done(image))]
    skipped = f"{counted(len(images) - len(left), 'image')} done before, " if settings.resume else ""
    work = Work(model, outputs, threshold, settings.batch, max(1, cores() // workers))
    chunk = 1 if model.resize == "tile" else min(settings.batch, math.ceil(len(left) / workers))
    start = time.perf_counter()
    if faults := _run(work, left, workers, max(1, chunk)):
        raise InputError(
            f"{faults:,} of {counted(len(left), 'image')} could not be used, see above; the others are done"
        )
    seconds = time.perf_counter() - start
    rate = f" ({seconds:.1f} s, {len(left) / seconds:.1f} images/s)" if left else ""
    return f"{skipped}{counted(len(left), 'image')} in {settings.out}{rate}"


def _run(work: Work, images: Sequence[Found], workers: int, chunk: int) -> int:
    """Predict all images, ``chunk`` at a time, report those that cannot be used, and return their number."""
    faults = done = 0
    start = said = time.perf_counter()
    chunks = [images[first : first + chunk] for first in range(0, len(images), chunk)]
    with bar(label="predict", total=len(images), unit="img") as progress:
        for part, found in zip(chunks, bounded_map(work, chunks, workers), strict=True):
            for fault in found:
                progress.write(f"segkit predict: {fault}", file=sys.stderr)
            faults, done = faults + len(found), done + len(part)
            progress.update(len(part))
            now = time.perf_counter()
            if progress.disable and now > said + LINE_SECONDS:
                said = now
                print(f"predict: {done:,} of {len(images):,} images, {done / (now - start):.1f} images/s", flush=True)
    return faults
