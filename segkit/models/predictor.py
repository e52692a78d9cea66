"""A checkpoint in use: packed images in, foreground probabilities out."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.models import heads
from segkit.models.blocks import fold_batch_norm
from segkit.models.checkpoint import Checkpoint
from segkit.models.normalize import Normalizer, to_float


class Predictor:
    """A checkpoint's network with its own normalisation, on one device, batch normalisation folded.

    ``metadata``: the checkpoint's. ``precision``: ``fp32`` or ``bf16``, of weights and activations. ``tta``: the mean
    over an image and its mirror image.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, precision: str = "fp32", *, tta: bool = False
    ) -> None:
        self.metadata, self.tta = checkpoint.metadata, tta
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        folded = fold_batch_norm(checkpoint.model)
        self.model = folded.to(device, self.dtype, memory_format=torch.channels_last)
        self.normalizer = Normalizer.from_metadata(checkpoint.metadata["normalize"])
        self.device = device

    def probabilities(self, pictures: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` at the network's input size to probabilities ``float32 (N, H, W)``."""
        return mean_over_flips(self._probabilities, pictures) if self.tta else self._probabilities(pictures)

    @torch.inference_mode()
    def _probabilities(self, pictures: Tensor) -> Tensor:
        images = self.normalizer(to_float(pictures, self.device)).to(self.dtype)
        return heads.probabilities(self.model(images.contiguous(memory_format=torch.channels_last)))


def mean_over_flips(probabilities: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """Test-time augmentation: the mean of the probabilities ``(N, H, W)`` of ``pictures`` ``(N, H, W, 3)`` and of their
    mirror images, mirrored back."""
    return (probabilities(pictures) + probabilities(pictures.flip(2)).flip(2)) / 2


def flips(metadata: dict[str, Any]) -> bool:
    """Whether a checkpoint asks for ``mean_over_flips``; those from before there was a choice do not."""
    return metadata.get("tta", "none") == "flip"


def to_size(probabilities: Tensor, height: int, width: int) -> Tensor:
    """Resize probabilities ``float32 (H, W)`` bilinearly to ``(height, width)``."""
    resized = F.interpolate(probabilities[None, None], size=(height, width), mode="bilinear", align_corners=False)
    return resized[0, 0]
