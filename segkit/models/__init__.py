"""The two networks, by name.

A network is a ``torch.nn.Module`` that maps normalised pictures ``(N, 3, H, W)`` to logits ``(N, C, H, W)``
of the same height and width; ``C`` says which head it has (see ``segkit.models.heads``).
"""

from collections.abc import Callable

from torch import nn

from segkit.errors import InputError
from segkit.models.resnet34_unet import ResNet34UNet
from segkit.models.unet import UNet

MODELS: dict[str, Callable[..., nn.Module]] = {"unet": UNet, "resnet34_unet": ResNet34UNet}


def build(name: str, **architecture) -> nn.Module:
    """Build the network called ``name``; raises InputError for an unknown name."""
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name](**architecture)
