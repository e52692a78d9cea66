"""One epoch of training, one pass of validation, and early stopping."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from segkit.base.progress import bar
from segkit.models import heads
from segkit.models.counts import count, dice_per_image
from segkit.models.device import autocast
from segkit.training.batches import Batch
from segkit.training.distributed import ALONE, World
from segkit.training.losses import WeightedLoss

BAR_SECONDS = 0.5


@dataclass
class Totals:
    """What all ranks counted in each step of a pass, kept on the device so that no step waits for it.

    One row per step, for the K terms of the loss and then Dice: ``sums`` ``float32 (K + 1,)`` and ``counts``
    ``int64 (K + 1,)``, of the items that each sum is over (for Dice, images).
    """

    sums: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sums)

    def sum(self) -> tuple[Tensor, Tensor]:
        """``sums`` and ``counts`` of all steps."""
        return torch.stack(self.sums).sum(0), torch.stack(self.counts).sum(0)

    def non_finite_step(self, since: int = 0) -> int | None:
        """The first step from ``since`` on whose loss is not finite; waits for the device."""
        bad = torch.stack(self.sums[since:])[:, :-1].isfinite().all(1).logical_not().nonzero()
        return since + int(bad[0]) if len(bad) else None

    def state(self) -> dict[str, Tensor]:
        """All that ``restore`` needs, on the CPU."""
        return {name: torch.stack(rows).cpu() for name, rows in vars(self).items() if rows}

    @classmethod
    def restore(cls, state: dict[str, Tensor], device: torch.device) -> "Totals":
        """What ``state`` returned, back on ``device``."""
        return cls(**{name: list(rows.to(device)) for name, rows in state.items()})


@dataclass(frozen=True)
class Engine:
    """A network on its device, in its precision, and how it is trained and validated.

    ``learning_rate``: maps the number of epochs so far (a float) to the rate; ``world``: this process among those that
    train the network together, each with its slice of every batch.
    """

    model: nn.Module
    loss: WeightedLoss
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[float], float]
    device: torch.device
    precision: str
    world: World = ALONE

    def train(self, batches: Iterable[Batch], *, epoch: int, steps: int, label: str) -> tuple[float, float]:
        """One epoch; returns mean loss and mean Dice of its predictions, made while the weights change."""
        totals = Totals()
        for _ in self.steps(batches, totals, epoch=epoch, steps=steps, label=label):
            pass
        return self.means(totals)

    def steps(self, batches: Iterable[Batch], totals: Totals, *, epoch: int, steps: int, label: str) -> Iterator[int]:
        """Train with one batch after another and add to ``totals``; yields how many of the epoch's ``steps`` are done,
        with those that ``totals`` held before."""
        self.model.train()
        shown = 0.0
        with bar(
            batches, label=label, total=steps, initial=len(totals), unit="step", hidden=not self.world.is_main
        ) as progress:
            for batch in progress:
                rate = self.learning_rate(epoch + len(totals) / steps)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate * group.get("lr_scale", 1.0)
                self.model.zero_grad()
                self.optimizer.zero_grad()  # it may hold views of the gradients
                logits = self._forward(self.network, batch.images)
                sums, counts = self._loss(logits, batch.masks)
                # DDP averages gradients over the ranks, but the loss is a mean over the global batch.
                (self.loss.mean(sums, counts[:-1]) * self.world.size).backward()
                self.optimizer.step()
                self._count(totals, sums, counts, logits, batch.masks)
                if not progress.disable and time.monotonic() - shown > BAR_SECONDS:
                    loss, dice = self.means(totals)
                    progress.set_postfix_str(f"loss {loss:.4f} dice {dice:.4f}")
                    shown = time.monotonic()
                yield len(totals)

    def means(self, totals: Totals) -> tuple[float, float]:
        """The loss and the mean Dice per image of a pass; waits for the device."""
        sums, counts = totals.sum()
        return self.loss.mean(sums[:-1], counts[:-1]).item(), (sums[-1] / counts[-1].clamp(min=1)).item()

    @cached_property
    def network(self) -> nn.Module:
        """``model``, wrapped if several ranks train it."""
        return self.world.parallel(self.model)

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Tensor:
        """Predicted masks of one batch, ``bool (N, H, W)``."""
        self.model.eval()
        return heads.likelier(self._forward(self.model, batch.images))

    @torch.inference_mode()
    def validate(self, batches: Iterable[Batch]) -> Totals:
        """Loss and Dice of the network on ``batches``, without training."""
        self.model.eval()
        totals = Totals()
        for batch in batches:
            logits = self._forward(self.model, batch.images)
            self._count(totals, *self._loss(logits, batch.masks), logits, batch.masks)
        return totals

    def _forward(self, network: nn.Module, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            return network(images)

    def _loss(self, logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """This rank's sums of the loss's terms; the counts of the terms, and of images, over all ranks."""
        sums, counts = self.loss(logits, masks)
        return sums, self.world.sum(torch.cat([counts, counts.new_full((1,), len(masks))]))

    @torch.no_grad()
    def _count(self, totals: Totals, sums: Tensor, counts: Tensor, logits: Tensor, masks: Tensor) -> None:
        dice = dice_per_image(count(heads.likelier(logits), masks)).sum()
        totals.sums.append(self.world.sum(torch.cat([sums.detach(), dice.to(sums.dtype).view(1)])))
        totals.counts.append(counts)


@dataclass
class EarlyStopping:
    """Keeps the weights of the best validation score: the lowest loss, or the highest Dice if ``select`` is ``dice``;
    tells if ``patience`` epochs have passed without a better one."""

    patience: int
    select: str = "loss"
    best_loss: float = float("inf")
    best_dice: float = -1.0
    best_epoch: int = -1
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def update(self, epoch: int, loss: float, dice: float, model: nn.Module) -> bool:
        """Take one epoch's result; returns whether it is the best so far."""
        better = dice > self.best_dice if self.select == "dice" else loss < self.best_loss
        if not better:
            return False
        self.best_loss, self.best_dice, self.best_epoch = loss, dice, epoch
        self.best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return True

    def should_stop(self, epoch: int) -> bool:
        """Whether ``patience`` epochs have passed since the best one."""
        return epoch - self.best_epoch >= self.patience
