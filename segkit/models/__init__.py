"""The networks by name, and what using one needs: heads, normalisation, checkpoints, devices.

A network is a ``torch.nn.Module`` that maps normalised images ``(N, 3, H, W)`` to logits ``(N, C, H, W)``
of the same height and width; ``C`` determines the head (see ``segkit.models.heads``).
"""

from importlib import import_module

from torch import nn

from segkit.base.errors import InputError
from segkit.base.params import MODEL_NAMES


def build(name: str, **architecture) -> nn.Module:
    """Build the network called ``name``: what the module of that name in this folder calls ``Network``.

    ``architecture``: its section of params.yaml, without what only training needs. Raises InputError for an unknown
    name.
    """
    if name not in MODEL_NAMES:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(MODEL_NAMES)}")
    return network(name)(**architecture)


def network(name: str) -> type[nn.Module]:
    """The class of the network called ``name``."""
    return import_module(f"segkit.models.{name}").Network
