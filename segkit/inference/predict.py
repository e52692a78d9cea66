"""``segkit predict``: masks for many images, with decoding, network and writing on all cores at once.

Each worker thread reads a few images, runs the network on them and writes the results: libraries release the
interpreter lock, so threads overlap, and on a CPU no core waits for another, as it would if all cores shared a layer.
"""

import ctypes
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from segkit.base import interrupts
from segkit.base.errors import InputError, brief, counted, one_line
from segkit.base.files import digest
from segkit.base.interrupts import Stop
from segkit.base.prefetch import bounded_map
from segkit.base.progress import bar
from segkit.base.workspace import cores
from segkit.dataset.decode import UnusableFile
from segkit.inference.finding import Found
from segkit.inference.model import Model, Opened, Prediction, load
from segkit.inference.outputs import Outputs

PIXELS = 2**27  # of images at their full size, in all threads together; a larger image is processed alone
LINE_SECONDS = 30  # between lines about progress where there is no terminal


@dataclass(frozen=True)
class Settings:
    """What to predict with (see ``segkit.inference.model.load``), and what to write to ``out`` (see ``Outputs``).

    ``batch``: rows that the network computes at once; None: ``Model.batch``. ``resume``: skip images that are done.
    """

    model: Path
    out: Path
    overlay: bool = False
    cutout: bool = False
    probability: int = 0
    json: bool = False
    threshold: float | None = None
    tta: bool | None = None
    tile: bool = False
    scale: Sequence[float] | None = None
    device: str = "auto"
    precision: str = "fp32"
    batch: int | None = None
    resume: bool = False


@dataclass(frozen=True)
class Work:
    """Predict images and write their ``outputs``: ``batch`` rows at once, with ``threads`` of the network.

    ``stop``: once a signal is pending there, work ends with CancelledError before the next rows or image.
    """

    model: Model
    outputs: Outputs
    batch: int
    threads: int
    stop: Stop
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
        probabilities = self.model.assemble(opened, self._rows([opened]))
        return probabilities, 1000 * (time.perf_counter() - start)

    def _whole(self, images: Sequence[Found]) -> Iterator[str]:
        """Images that are one row each: a few share a batch."""
        opened: list[tuple[Found, Opened]] = []
        for image in images:
            with self._reporting(image) as faults, self.room.reserved() as reserve:
                opened.append((image, self.model.open(image.path, reserve)))
            yield from faults
        start = time.perf_counter()
        rows = list(self._rows([each for _, each in opened]))
        ms = 1000 * (time.perf_counter() - start) / max(1, len(opened))
        for (image, each), row in zip(opened, rows, strict=True):
            with self._reporting(image) as faults, self.room.reserved() as reserve:
                reserve(each)
                self._write(image, self.model.assemble(each, [row]), ms)
            yield from faults

    def _rows(self, images: Sequence[Opened]) -> Iterator[Tensor]:
        for row in self.model.rows(images, self.batch):
            self._check()
            yield row

    def _write(self, image: Found, probabilities: Tensor, ms: float) -> None:
        mask = self.model.mask(probabilities, self.outputs.threshold)
        self.outputs.write(image, Prediction(mask, probabilities.numpy()), ms)

    @contextmanager
    def _reporting(self, image: Found) -> Iterator[list[str]]:
        """Collects why the image cannot be used."""
        self._check()
        faults: list[str] = []
        try:
            yield faults
        except UnusableFile as fault:
            faults.append(one_line(f"{image.path}: {fault}"))
        except MemoryError:
            faults.append(one_line(f"{image.path}: memory ran out"))

    def _check(self) -> None:
        if self.stop.number:
            raise CancelledError


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
    threads = max(1, cores() // len(images))
    model = load(
        settings.model,
        settings.device,
        settings.precision,
        threads=threads,
        scale=settings.scale,
        tile=settings.tile,
        tta=settings.tta,
    )
    _give_back_memory()
    outputs = _outputs(model, settings)
    outputs.refuse_sources(images)
    left = [image for image in images if not (settings.resume and outputs.done(image))]
    skipped = f"{counted(len(images) - len(left), 'image')} done before, " if settings.resume else ""
    batch, start = settings.batch or model.batch, time.perf_counter()
    try:
        with interrupts.deferred() as stop:
            faults = _run(Work(model, outputs, batch, threads, stop), left)
    except RuntimeError as error:  # torch's, on any device
        if "memory" not in str(error):
            raise
        raise InputError(f"the device is out of memory; lower --batch, which was {batch}") from None
    if stop.number:
        signal.raise_signal(stop.number)  # to whoever handles it outside
    if faults:
        raise InputError(
            f"{faults:,} of {counted(len(left), 'image')} could not be used, see above; the others are done"
        )
    seconds = time.perf_counter() - start
    rate = f" ({seconds:.1f} s, {len(left) / seconds:.1f} images/s)" if left else ""
    return f"{skipped}{counted(len(left), 'image')} in {brief(settings.out, 300)}{rate}"


def _outputs(model: Model, settings: Settings) -> Outputs:
    threshold = model.metadata["threshold"] if settings.threshold is None else settings.threshold
    made_by = digest(settings.model), threshold, model.scale, model.resize, model.tta, settings.precision
    kinds = {kind: getattr(settings, kind) for kind in ("overlay", "cutout", "probability", "json")}
    return Outputs(settings.out, repr((made_by, settings.probability)), threshold, model.scale, **kinds)


def _give_back_memory() -> None:
    """Return freed memory to the system (glibc only): what loading left behind is as large as the model."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _run(work: Work, images: Sequence[Found]) -> int:
    """Predict all images, a few at a time, report those that cannot be used, and return their number; returns early
    after a signal."""
    workers = min(cores(), max(1, len(images)))
    size = 1 if work.model.resize == "tile" else min(work.batch, max(1, math.ceil(len(images) / workers)))
    chunks = [images[first : first + size] for first in range(0, len(images), size)]
    faults = done = 0
    start = said = time.perf_counter()
    results = bounded_map(work, chunks, workers)
    with bar(label="predict", total=len(images), unit="img") as progress, closing(results), suppress(CancelledError):
        for chunk, found in zip(chunks, results, strict=True):
            for fault in found:
                progress.write(f"segkit predict: {fault}", file=sys.stderr)
            faults, done = faults + len(found), done + len(chunk)
            progress.update(len(chunk))
            now = time.perf_counter()
            if progress.disable and now > said + LINE_SECONDS:
                said = now
                print(f"predict: {done:,} of {len(images):,} images, {done / (now - start):.1f} images/s", flush=True)
    return faults
