"""One epoch of training, one pass of validation, and when to stop."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from segkit.data.batches import Batch
from segkit.labels import IGNORED
from segkit.metrics import count, dice_per_image
from segkit.models import heads
from segkit.progress import bar
from segkit.training.device import autocast
from segkit.training.team import Team

BAR_SECONDS = 0.5


@dataclass
class Totals:
    """What the whole team counted in each step of a pass, kept on the device so that no step waits for it.

    ``sums``: loss in nats and Dice, ``float32 (2,)`` a step; ``counts``: pixels and images, ``int64 (2,)`` a step.
    """

    sums: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sums)

    def means(self) -> tuple[float, float]:
        """Mean loss per pixel in nats, and mean Dice per image; waits for the device."""
        (loss, dice), (pixels, images) = torch.stack(self.sums).sum(0), torch.stack(self.counts).sum(0).clamp(min=1)
        return (loss / pixels).item(), (dice / images).item()

    def strange_step(self, since: int = 0) -> int | None:
        """The first step from ``since`` on whose loss is not finite; waits for the device."""
        strange = torch.stack(self.sums[since:])[:, 0].isfinite().logical_not().nonzero()
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

    ``team``: the processes that train it together, each with its part of every batch.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    precision: str
    team: Team = field(default_factory=Team)

    def train(self, batches: Iterable[Batch], *, steps: int, label: str) -> tuple[float, float]:
        """One epoch; returns mean loss and mean Dice of the predictions made while the weights moved."""
        totals = Totals()
        for _ in self.steps(batches, totals, steps=steps, label=label):
            pass
        return totals.means()

    def steps(self, batches: Iterable[Batch], totals: Totals, *, steps: int, label: str) -> Iterator[int]:
        """Train with one batch after another and add to ``totals``; yields how many of the epoch's ``steps`` are done,
        with those that ``totals`` held before."""
        self.model.train()
        shown = 0.0
        with bar(
            batches, label=label, total=steps, initial=len(totals), unit="step", hidden=not self.team.leads
        ) as progress:
            for batch in progress:
                self.optimizer.zero_grad(set_to_none=True)
                logits = self._forward(self.network, batch.images)
                loss, counts = self._loss(logits, batch.masks)
                # The gradients are averaged over the team, but the mean is over all pixels of all parts.
                (loss * self.team.size / counts[0].clamp(min=1)).backward()
                self.optimizer.step()
                self._count(totals, loss, counts, logits, batch.masks)
                if not progress.disable and time.monotonic() - shown > BAR_SECONDS:
                    mean_loss, dice = totals.means()
                    progress.set_postfix_str(f"loss {mean_loss:.4f} dice {dice:.4f}")
                    shown = time.monotonic()
                yield len(totals)

    @cached_property
    def network(self) -> nn.Module:
        """``model``, or what trains it together with the other processes."""
        return self.team.network(self.model, self.device)

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Tensor:
        """Predicted masks of one batch, ``bool (N, H, W)``."""
        self.model.eval()
        return heads.predict(heads.probabilities(self._forward(self.model, batch.images)))

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
        """This process's summed cross-entropy in nats; pixels that count and images of the whole team."""
        pixels = (masks != IGNORED).sum()
        counts = self.team.sum(torch.stack([pixels, torch.full_like(pixels, len(masks))]))
        return heads.pixel_losses(logits, masks).sum(), counts

    @torch.no_grad()
    def _count(self, totals: Totals, loss: Tensor, counts: Tensor, logits: Tensor, masks: Tensor) -> None:
        predictions = heads.predict(heads.probabilities(logits))
        dice = dice_per_image(count(predictions, masks)).sum()
        totals.sums.append(self.team.sum(torch.stack([loss.detach(), dice.to(loss.dtype)])))
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
