"""One epoch of training, one pass of validation, and when to stop."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from segkit.data.batches import Batch
from segkit.labels import IGNORED
from segkit.metrics import count, dice_per_image
from segkit.models import heads
from segkit.progress import bar
from segkit.training.device import autocast

BAR_SECONDS = 0.5


@dataclass
class Totals:
    """Sums over an epoch, kept on the device so that no step waits for them."""

    loss: Tensor
    pixels: Tensor
    dice: Tensor
    images: int = 0

    @classmethod
    def on(cls, device: torch.device) -> "Totals":
        """Empty sums on ``device``."""
        return cls(*(torch.zeros((), dtype=torch.float32, device=device) for _ in range(3)))

    def add(self, losses: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
        """Count one batch and return its mean loss over the pixels that count."""
        loss, pixels = losses.sum(), (masks != IGNORED).sum()
        with torch.no_grad():
            predictions = heads.predict(heads.probabilities(logits))
            self.loss += loss
            self.pixels += pixels
            self.dice += dice_per_image(count(predictions, masks)).sum()
            self.images += len(masks)
        return loss / pixels.clamp(min=1)

    def means(self) -> tuple[float, float]:
        """Mean loss per pixel in nats, and mean Dice per image; waits for the device."""
        return (self.loss / self.pixels.clamp(min=1)).item(), (self.dice / self.images).item()


@dataclass(frozen=True)
class Engine:
    """A network on its device, in its precision, with the two things that are done to it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    precision: str

    def train(self, batches: Iterable[Batch], *, steps: int, label: str) -> tuple[float, float]:
        """One epoch; returns mean loss and mean Dice of the predictions made while the weights moved."""
        self.model.train()
        totals = Totals.on(self.device)
        shown = 0.0
        with bar(batches, label=label, total=steps, unit="step") as progress:
            for batch in progress:
                self.optimizer.zero_grad(set_to_none=True)
                logits = self._forward(batch.images)
                totals.add(heads.pixel_losses(logits, batch.masks), logits, batch.masks).backward()
                self.optimizer.step()
                if not progress.disable and time.monotonic() - shown > BAR_SECONDS:
                    loss, dice = totals.means()
                    progress.set_postfix_str(f"loss {loss:.4f} dice {dice:.4f}")
                    shown = time.monotonic()
        return totals.means()

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Tensor:
        """Predicted masks of one batch, ``bool (N, H, W)``."""
        self.model.eval()
        return heads.predict(heads.probabilities(self._forward(batch.images)))

    @torch.inference_mode()
    def validate(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Mean loss and mean Dice of the network as it is."""
        self.model.eval()
        totals = Totals.on(self.device)
        for batch in batches:
            logits = self._forward(batch.images)
            totals.add(heads.pixel_losses(logits, batch.masks), logits, batch.masks)
        return totals.means()

    def _forward(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            return self.model(images)


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
