"""Batches on the device, gathered from the memory maps by a thread that runs ahead."""

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from segkit.data.normalize import Normalizer
from segkit.data.packed import Split
from segkit.data.plan import Plan, draw, order
from segkit.data.warp import warp

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """``images`` ``float32 (N, 3, H, W)``, normalised; ``masks`` ``uint8 (N, H, W)``: 0, 1, 255 ignored."""

    images: Tensor
    masks: Tensor


class TrainingBatches:
    """The batches of one epoch after another, as the plan says."""

    def __init__(
        self, split: Split, plan: Plan, normalizer: Normalizer, *, seed: int, batch_size: int, device: torch.device
    ) -> None:
        self.split, self.plan, self.normalizer = split, plan, normalizer
        self.seed, self.device = seed, device
        self.bounds = batch_bounds(len(plan), batch_size)

    def __len__(self) -> int:
        return len(self.bounds)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All samples of the plan once, in this epoch's order, with this epoch's transforms."""
        draws, epoch_order = draw(self.plan, self.seed, epoch), order(self.plan, self.seed, epoch)
        for rows, pictures, masks in run_ahead(self._gathered(epoch_order)):
            images = to_float(pictures, self.device)
            masks = masks.to(self.device, non_blocking=True)
            if self.plan.transforms[rows].any():
                images, masks = warp(images, masks, draws[rows])
            yield Batch(self.normalizer(images), masks)

    def _gathered(self, epoch_order: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        for start, stop in self.bounds:
            rows = epoch_order[start:stop]
            yield rows, *_gather(self.split, self.plan.source_rows[rows], self.device)


def plain_batches(split: Split, normalizer: Normalizer, *, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """All samples of a split in row order, as they are."""
    starts = range(0, len(split), batch_size)
    rows = (np.arange(start, min(start + batch_size, len(split))) for start in starts)
    for pictures, masks in run_ahead(_gather(split, chosen, device) for chosen in rows):
        yield Batch(normalizer(to_float(pictures, device)), masks.to(device, non_blocking=True))


def to_float(pictures: Tensor, device: torch.device) -> Tensor:
    """``uint8 (N, H, W, 3)`` to ``float32 (N, 3, H, W)`` on ``device``, in channels-last memory, values unchanged."""
    return pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).float()


def batch_bounds(samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and stop of every batch. The last may be short, but a single left-over sample joins the batch before
    it: batch normalisation cannot train on one value a channel."""
    starts = list(range(0, samples, batch_size))
    if len(starts) > 1 and samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], samples], strict=True))


def run_ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield ``items`` while a thread already makes the next ones, at most ``depth`` ahead.

    An exception in ``items`` is raised here; leaving early ends the thread.
    """
    ready: queue.Queue = queue.Queue(depth)
    stopped = threading.Event()
    end = object()

    def put(value: object) -> None:
        while not stopped.is_set():
            try:
                return ready.put(value, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((end, None))
        except BaseException as error:  # handed to the reader, which raises it
            put((end, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def _gather(split: Split, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Copy rows out of the maps: ``uint8 (N, H, W, 3)`` and ``(N, H, W)``, pinned where the device is CUDA."""
    tensors = (torch.from_numpy(np.ascontiguousarray(array[rows])) for array in (split.images, split.masks))
    pictures, masks = (tensor.pin_memory() if device.type == "cuda" else tensor for tensor in tensors)
    return pictures, masks
