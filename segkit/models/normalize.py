"""Normalise batches of 8-bit images on the device."""

import math
from functools import cache
from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor

from segkit.base.values import Normalization

MIN_STD = 1 / 255

Share = Annotated[float, Field(strict=True, ge=0, le=1)]


@dataclass(frozen=True)
class Normalizer:
    """``image``: each image by its own mean and standard deviation over all its pixels and channels.
    ``dataset``, ``imagenet``: each channel by the given numbers, in units of 0 to 1.
    """

    kind: Normalization
    mean: tuple[Share, ...] = ()
    std: tuple[Share, ...] = ()

    @model_validator(mode="after")
    def _has_its_numbers(self) -> Self:
        needed = 0 if self.kind == "image" else 3
        if not len(self.mean) == len(self.std) == needed:
            raise ValueError(f"mean and std must hold {needed} numbers each for kind {self.kind}")
        return self

    @classmethod
    def from_summary(cls, kind: str, summary: dict[str, Any]) -> "Normalizer":
        """The normaliser ``preprocess.normalize`` names, with the numbers of ``summary.json``."""
        numbers = summary["normalize"][kind]
        return cls(kind, tuple(numbers["mean"]), tuple(numbers["std"])) if numbers else cls(kind)

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> "Normalizer":
        """The normaliser that a checkpoint was trained with."""
        return cls(**metadata)

    def as_metadata(self) -> dict[str, Any]:
        """JSON types for a checkpoint's metadata."""
        return {"kind": self.kind, "mean": list(self.mean), "std": list(self.std)}

    def __call__(self, images: Tensor) -> Tensor:
        """``float32 (N, 3, H, W)`` with values 0 to 255 to the same shape, normalised."""
        # Plain passes over the batch: torch's std_mean and addcmul take several times as long on the CPU.
        if self.kind == "image":
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            centred = images - mean
            norm = torch.linalg.vector_norm(centred, dim=(1, 2, 3), keepdim=True)
            std = norm / math.prod(images.shape[1:]) ** 0.5  # math.sqrt would make the size a constant of an export
        else:
            mean, std = (_on(images.device, numbers) for numbers in (self.mean, self.std))
            centred = images - mean
        # The standard deviation of an image of one colour is 0.
        return centred.div_(std.clamp(min=255 * MIN_STD))


def to_float(pictures: Tensor, device: torch.device) -> Tensor:
    """``uint8 (N, H, W, 3)`` to ``float32 (N, 3, H, W)`` on ``device``, in channels-last memory, values unchanged."""
    return pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).float()


@cache
def _on(device: torch.device, numbers: tuple[float, ...]) -> Tensor:
    """One number per channel, ``float32 (1, 3, 1, 1)`` in units of 0 to 255, sent to the device once."""
    return torch.tensor(numbers, device=device).view(1, 3, 1, 1) * 255
