"""One epoch of training, one pass of validation, and when to stop."""

import time
from collections.abc import Iterable
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
    """Sums over an epoch, kept on the device so that no step waits for them."""

    loss: Tensor
    dice: Tensor
    pixels: Tensor
    images: int = 0

    @classmethod
    def on(cls, device: torch.device) -> "Totals":
        """Empty sums on ``device``."""
        dtypes = torch.float32, torch.float32, torch.int64
        return cls(*(torch.zeros((), dtype=dtype, device=device) for dtype in dtypes))

    @torch.no_grad()
    def add(self, loss: Tensor, pixels: Tensor, logits: Tensor, masks: Tensor) -> None:
        """Count one batch: its summed loss over ``pixels`` pixels, and the Dice of each image."""
        predictions = heads.predict(heads.probabilities(logits))
        self.loss += loss
        self.pixels += pixels
        self.dice += dice_per_image(count(predictions, masks)).sum()
        self.images += len(masks)

    def means(self, team: Team | None = None) -> tuple[float, float]:
        """Mean loss per pixel in nats, and mean Dice per image, of the whole team; waits for the device."""
        loss, dice, pixels = self.loss, self.dice, self.pixels
        images = torch.tensor(self.images, device=pixels.device)
        if team is not None:
            loss, dice = team.sum(torch.stack([loss, dice]))
            pixels, images = team.sum(torch.stack([pixels, images]))
        return (loss / pixels.clamp(min=1)).item(), (dice / images.clamp(min=1)).item()


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
        self.model.train()
        totals = Totals.on(self.device)
        shown = 0.0
        with bar(batches, label=label, total=steps, unit="step", hidden=not self.team.leads) as progress:
            for batch in progress:
                self.optimizer.zero_grad(set_to_none=True)
                logits = self._forward(self.network, batch.images)
                loss, pixels = _loss(logits, batch.masks)
                # The gradients are averaged over the team, but the mean is over all pixels of all parts.
                (loss * self.team.size / self.team.sum(pixels).clamp(min=1)).backward()
                self.optimizer.step()
                totals.add(loss, pixels, logits, batch.masks)
                if not progress.disable and time.monotonic() - shown > BAR_SECONDS:
                    mean_loss, dice = totals.means()
                    progress.set_postfix_str(f"loss {mean_loss:.4f} dice {dice:.4f}")
                    shown = time.monotonic()
        return totals.means(self.team)

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
    def validate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Mean loss and mean Dice of the network as it is."""
        self.model.eval()
        totals = Totals.on(self.device)
        for batch in batches:
            logits = self._forward(self.model, batch.images)
            totals.add(*_loss(logits, batch.masks), logits, batch.masks)
        return totals.means(self.team)

    def _forward(self, network: nn.Module, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            return network(images)


def _loss(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy in nats, and the number of pixels that count."""
    return heads.pixel_losses(logits, masks).sum(), (masks != IGNORED).sum()


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
