"""Loss terms: ``train.loss`` gives each function of this file its weight.

A term is a function of logits ``(N, C, H, W)`` and masks ``uint8 (N, H, W)`` (0, 1, 255 ignored) that returns two
scalars: a sum, ``float32``, and the number of items in it, ``int64``. The loss is the weighted sum of the terms'
means. Sums and counts are added up over all processes that train together, so that a mean is that of the whole batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from segkit.base.packed import FOREGROUND, IGNORED
from segkit.base.params import Loss
from segkit.models import heads

Term = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def cross_entropy(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats, over pixels; binary cross-entropy if the head has one channel."""
    return heads.pixel_losses(logits, masks).sum(), (masks != IGNORED).sum()


def dice(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """1 - (2 Σ p·y + 1) / (Σ p + Σ y + 1) of the probabilities p and the mask y, over images.

    The soft Dice of Milletari et al., "V-Net", 2016, with p in place of p² below, and 1 added to both sides so that an
    image without foreground has a gradient.
    """
    probabilities = heads.probabilities(logits).masked_fill(masks == IGNORED, 0)
    truth = (masks == FOREGROUND).float()
    overlap, total = (values.flatten(1).sum(1) for values in (probabilities * truth, probabilities + truth))
    losses = 1 - (2 * overlap + 1) / (total + 1)
    return losses.sum(), torch.full((), len(masks), device=masks.device)


@dataclass(frozen=True)
class WeightedLoss:
    """The terms with a weight above 0."""

    terms: tuple[Term, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, loss: Loss) -> "WeightedLoss":
        """What ``train.loss`` asks for."""
        used = {name: weight for name, weight in vars(loss).items() if weight > 0}
        return cls(tuple(globals()[name] for name in used), tuple(used.values()))

    def __call__(self, logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Each term's sum ``float32 (K,)`` and count ``int64 (K,)``."""
        sums, counts = zip(*(term(logits, masks) for term in self.terms), strict=True)
        return torch.stack(sums), torch.stack(counts)

    def mean(self, sums: Tensor, counts: Tensor) -> Tensor:
        """The loss, a scalar: the weighted sum of the terms' means."""
        means = (sums / counts.clamp(min=1)).unbind()
        return sum(weight * mean for weight, mean in zip(self.weights, means, strict=True))
