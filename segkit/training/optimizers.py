"""Optimizers: ``train.optimizer`` names a function of this file.

An optimizer is a function of the network's parameters and of the recipe (``train``) that returns a
``torch.optim.Optimizer``; its learning rate is set before every step, as ``train.schedule`` says.
"""

from collections.abc import Iterable

import torch
from torch import nn

from segkit.base.params import Train


def adamw(parameters: Iterable[nn.Parameter], recipe: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), in one pass over memory."""
    optimizer = torch.optim.AdamW(parameters, recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    optimizer.register_step_pre_hook(_match_memory_order)
    return optimizer


def _match_memory_order(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """The fused kernel on the CPU is wrong where a gradient is stored in another order than its weight, channels-last
    perhaps (torch 2.15). Autograd makes them alike, but nothing ensures it."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None and weight.grad.stride() != weight.stride():
                weight.grad = torch.empty_like(weight).copy_(weight.grad)
