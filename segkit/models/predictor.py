"""A checkpoint in use: packed images in, foreground probabilities out."""

import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.models import heads
from segkit.models.blocks import fold_batch_norm
from segkit.models.checkpoint import Checkpoint
from segkit.models.normalize import Normalizer, to_float


class Predictor:
    """A checkpoint's network with its own normalisation, on one device, batch normalisation folded.

    ``metadata``: the checkpoint's. ``precision``: ``fp32`` or ``bf16``, of weights and activations.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, precision: str = "fp32") -> None:
        self.metadata = checkpoint.metadata
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        folded = fold_batch_norm(checkpoint.model)
        self.model = folded.to(device, self.dtype, memory_format=torch.channels_last)
        self.normalizer = Normalizer.from_metadata(checkpoint.metadata["normalize"])
        self.device = device

    @torch.inference_mode()
    def probabilities(self, pictures: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` at the network's input size to probabilities ``float32 (N, H, W)``."""
        images = self.normalizer(to_float(pictures, self.device)).to(self.dtype)
        return heads.probabilities(self.model(images.contiguous(memory_format=torch.channels_last)))


def to_size(probabilities: Tensor, height: int, width: int) -> Tensor:
    """Resize probabilities ``float32 (H, W)`` bilinearly to ``(height, width)``."""
    resized = F.interpolate(probabilities[None, None], size=(height, width), mode="bilinear", align_corners=False)
    return resized[0, 0]
