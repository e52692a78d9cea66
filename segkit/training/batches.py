"""Batches on the device, prepared in a background thread."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.augment.plan import Plan, draw, order
from segkit.augment.warp import Warps
from segkit.base.packed import Split
from segkit.base.params import Combine
from segkit.base.prefetch import run_ahead
from segkit.models.normalize import Normalizer, to_float
from segkit.training.distributed import ALONE, World


@dataclass(frozen=True)
class Batch:
    """``images`` ``float32 (N, 3, H, W)``, normalised; ``masks`` ``uint8 (N, H, W)``: 0, 1, 255 ignored."""

    images: Tensor
    masks: Tensor


class TrainingBatches:
    """The batches of each epoch, as the plan says; of every global batch, this rank's slice."""

    def __init__(
        self,
        split: Split,
        plan: Plan,
        combine: Combine,
        normalizer: Normalizer,
        *,
        seed: int,
        batch_size: int,
        device: torch.device,
        world: World = ALONE,
        size: Callable[[int], tuple[int, int]] | None = None,
    ) -> None:
        """``size``: maps an epoch to the height and width of its images; None: as they are packed."""
        self.size = size or (lambda epoch: split.masks.shape[1:])
        self.split, self.plan, self.combine, self.normalizer = split, plan, combine, normalizer
        self.seed, self.device, self.world = seed, device, world
        self.bounds = batch_bounds(len(plan), batch_size)

    def __len__(self) -> int:
        return len(self.bounds)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The plan's samples in this epoch's order, with this epoch's transforms, from batch ``first`` on."""
        for pictures, masks, rows, warps in run_ahead(self._prepared(epoch, first)):
            images, masks = to_float(pictures, self.device), masks.to(self.device, non_blocking=True)
            if len(rows):
                rows = rows.to(self.device, non_blocking=True)
                images[rows], masks[rows] = warps.to(self.device)(images[rows], masks[rows])
            if masks.shape[1:] != self.size(epoch):
                images, masks = _resized(images, masks, self.size(epoch))
            yield Batch(self.normalizer(images), masks)

    def source_rows(self, epoch: int, step: int) -> np.ndarray:
        """The rows of the training set in global batch ``step`` of ``epoch``."""
        return self.plan.source_rows[order(self.plan, self.seed, epoch)[slice(*self.bounds[step])]]

    def _prepared(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Warps]]:
        """Images and masks of each batch, which of its rows are transformed, ``int64 (M,)``, and how."""
        draws = draw(self.plan, self.combine, self.split.masks.shape[1:], self.seed, epoch)
        epoch_order = order(self.plan, self.seed, epoch)
        pin = _pinner(self.device)
        for start, stop in self.bounds[first:]:
            rows = self.world.slice(epoch_order[start:stop])
            moved = np.flatnonzero(self.plan.transforms[rows])
            warps = Warps.of(draws[rows[moved]]).map(pin)
            pictures, masks = _gather(self.split, self.plan.source_rows[rows], self.device)
            yield pictures, masks, pin(torch.from_numpy(moved)), warps


def plain_batches(
    split: Split, normalizer: Normalizer, *, batch_size: int, device: torch.device, world: World = ALONE
) -> Iterator[Batch]:
    """All samples of a split in row order, as they are; of every global batch, this rank's slice."""
    starts = range(0, len(split), batch_size)
    rows = (world.slice(np.arange(start, min(start + batch_size, len(split)))) for start in starts)
    for pictures, masks in run_ahead(_gather(split, chosen, device) for chosen in rows):
        yield Batch(normalizer(to_float(pictures, device)), masks.to(device, non_blocking=True))


def _resized(images: Tensor, masks: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A batch at another height and width, as ``preprocess`` resizes: images bilinearly with antialiasing, masks by
    nearest neighbour."""
    images = F.interpolate(images, size, mode="bilinear", antialias=True)
    return images, F.interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0].to(masks.dtype)


def batch_bounds(samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and stop of every batch. The last may be short, but a single left-over sample joins the batch before
    it: batch normalisation cannot train on one value per channel."""
    starts = list(range(0, samples, batch_size))
    if len(starts) > 1 and samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], samples], strict=True))


def _gather(split: Split, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows as ``uint8 (N, H, W, 3)`` and ``(N, H, W)`` on the CPU, ready to be sent to ``device``."""
    pin = _pinner(device)
    return pin(torch.from_numpy(split.images[rows])), pin(torch.from_numpy(split.masks[rows]))


def _pinner(device: torch.device) -> Callable[[Tensor], Tensor]:
    """Pins memory if the device is CUDA, so that the host does not wait for the transfer."""
    return Tensor.pin_memory if device.type == "cuda" else lambda tensor: tensor
