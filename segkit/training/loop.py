"""One epoch of training, one pass of validation, and when to stop."""

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
from segkit.training.losses import WeightedLoss
from segkit.training.team import Team

BAR_SECONDS = 0.5


@dataclass
class Totals:
    """What the whole team counted in each step of a pass, kept on the device so that no step waits for it.

    A row a step, of the K terms of the loss and then of Dice: ``sums`` ``float32 (K + 1,)`` and ``counts``
    ``int64 (K + 1,)``, of the things that each sum is over (for Dice, images).
    """

    sums: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sums)

    def sum(self) -> tuple[Tensor, Tensor]:
        """``sums`` and ``counts`` of all steps."""
        return torch.stack(self.sums).sum(0), torch.stack(self.counts).sum(0)

    def strange_step(self, since: int = 0) -> int | None:
        """The first step from ``since`` on whose loss is not finite; waits for the device."""
        strange = torch.stack(self.sums[since:])[:, :-1].isfinite().all(1).logical_not().nonzero()
        return since + int(strange[0]) if len(strange) else None

    def state(self) -> dict[str, Tensor]:
        """All that ``restore`` needs, on the CPU."""
        return {name: torch.stack(rows).cpu() for name, rows in vars(self).items() if rows}

    @classmethod
    def restore(cls, state: dict[str, Tensor], device: torch.device) -> "Totals":
        """What ``state`` returned, back on ``device``."""
        return cls(**{name: list(rows.to(device)) for name, rows in state.items()})


@dataclass(frozen=True)
class Engine:
    """A network on its device, in its precision, with the two things that are done to it.

    ``learning_rate``: the rate after so many epochs, whole and part; ``team``: the processes that train it together,
    each with its part of every batch.
    """

    model: nn.Module
    loss: WeightedLoss
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[float], float]
    device: torch.device
    precision: str
    team: Team = field(default_factory=Team)

    def train(self, batches: Iterable[Batch], *, epoch: int, steps: int, label: str) -> tuple[float, float]:
        """One epoch; returns mean loss and mean Dice of the predictions made while the weights moved."""
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
            batches, label=label, total=steps, initial=len(totals), unit="step", hidden=not self.team.leads
        ) as progress:
            for batch in progress:
                rate = self.learning_rate(epoch + len(totals) / steps)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.optimizer.zero_grad(set_to_none=True)
                logits = self._forward(self.network, batch.images)
                sums, counts = self._loss(logits, batch.masks)
                # The gradients are averaged over the team, but a mean is over all parts.
                (self.loss.mean(sums, counts[:-1]) * self.team.size).backward()
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
        """``model``, or what trains it together with the other processes."""
        return self.team.network(self.model, self.device)

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Tensor:
        """Predicted masks of one batch, ``bool (N, H, W)``."""
        self.model.eval()
        return heads.likelier(self._forward(self.model, batch.images))

    @torch.inference_mode()
    def validate(self, batches: Iterable[Batch]) -> Totals:
        """What the network as it is makes of ``batches``."""
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
        """This process's sums of the loss's terms; the counts of the terms and the images of the whole team."""
        sums, counts = self.loss(logits, masks)
        return sums, self.team.sum(torch.cat([counts, counts.new_full((1,), len(masks))]))

    @torch.no_grad()
    def _count(self, totals: Totals, sums: Tensor, counts: Tensor, logits: Tensor, masks: Tensor) -> None:
        dice = dice_per_image(count(heads.likelier(logits), masks)).sum()
        totals.sums.append(self.team.sum(torch.cat([sums.detach(), dice.to(sums.dtype).view(1)])))
        totals.counts.append(counts)


@dataclass
class EarlyStopping:
    """Keeps the weights of the lowest validation loss; says when ``patience`` epochs brought none lower."""

    patience: int
    best_loss: float = float("inf")
    best_dice: float = 0.0
    best_epoch: int = -1
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def update(self, epoch: int, loss: float, dice: float, model: nn.Module) -> bool:
        """Take one epoch's result; returns whether it is the best so far."""
        if not loss < self.best_loss:
            return False
        self.best_loss, self.best_dice, self.best_epoch = loss, dice, epoch
        self.best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return True

    def should_stop(self, epoch: int) -> bool:
        """Whether ``patience`` epochs have passed since the best one."""
        return epoch - self.best_epoch >= self.patience
