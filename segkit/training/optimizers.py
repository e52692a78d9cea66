"""Optimizers: ``train.optimizer`` names a function of this file.

An optimizer is a function of the network's parameters and of the recipe (``train``) that returns a
``torch.optim.Optimizer``; its learning rate is set anew before every step, as ``train.schedule`` says.
"""

from collections.abc import Iterable

import torch
from torch import nn

from segkit.base.params import Train


def adamw(parameters: Iterable[nn.Parameter], recipe: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).

    Not ``fused``: on the CPU that kernel reads a gradient in the memory order of its weight, and is wrong where the
    two differ, as they may with channels-last weights (torch 2.15).
    """
    return torch.optim.AdamW(parameters, recipe.lr, weight_decay=recipe.weight_decay)
