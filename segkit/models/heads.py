"""Interpretation of the logits of both heads.

2 channels are the logits of (background, foreground): softmax, trained by cross-entropy. 1 channel is the logit of
foreground: sigmoid, trained by binary cross-entropy. Over two classes both are the same function of one number,
the foreground logit (log-odds): softmax(b, f)[1] = sigmoid(f - b), and its cross-entropy is the binary
cross-entropy of f - b. Loss, probability and prediction all use these functions.

Masks are ``uint8``: 0 background, 1 foreground, 255 ignored.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.base.packed import IGNORED


def foreground_logits(logits: Tensor) -> Tensor:
    """Log-odds of foreground, ``float32 (N, H, W)``, of logits ``(N, C, H, W)`` with C 1 or 2."""
    logits = logits.float()
    if logits.shape[1] == 2:
        return logits[:, 1] - logits[:, 0]
    if logits.shape[1] == 1:
        return logits[:, 0]
    raise ValueError(f"a head has 1 or 2 channels, not {logits.shape[1]}")


def pixel_losses(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of every pixel in nats, ``float32 (N, H, W)``; 0 at ignored pixels."""
    losses = F.binary_cross_entropy_with_logits(foreground_logits(logits), (masks == 1).float(), reduction="none")
    return losses.masked_fill(masks == IGNORED, 0.0)


def probabilities(logits: Tensor) -> Tensor:
    """Foreground probability, ``float32 (N, H, W)``."""
    return torch.sigmoid(foreground_logits(logits))


def predict(foreground: Tensor, threshold: float) -> Tensor:
    """Predicted masks, ``bool``, the shape of the probabilities: foreground from ``threshold`` on."""
    return foreground >= threshold


def likelier(logits: Tensor) -> Tensor:
    """The likelier class, ``bool (N, H, W)``, true for foreground: used in training, which has no threshold."""
    return foreground_logits(logits) >= 0
