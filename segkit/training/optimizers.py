"""Optimizers: ``train.optimizer`` names a function of this file.

An optimizer is a function of the network's parameters and of the recipe (``train``) that returns a
``torch.optim.Optimizer``; its learning rate is set before every step, as ``train.schedule`` says.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from segkit.base.params import Train


def adamw(parameters: Iterable[nn.Parameter], recipe: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), torch's fused kernel.

    On the CPU that kernel copies tensors that are not contiguous at every step, and is wrong if a gradient is
    stored in another order than its weight (torch 2.15). So it gets channels-last weights as views ``(K, H, W, C)``.
    """
    weights = list(parameters)
    views = [_as_stored(weight.detach(), weight) for weight in weights]
    optimizer = torch.optim.AdamW(views, recipe.lr, weight_decay=recipe.weight_decay, fused=True)

    def take_gradients(*_: object) -> None:
        for view, weight in zip(views, weights, strict=True):
            view.grad = None if weight.grad is None else _as_stored(weight.grad, weight)
            if view.grad is not None and view.grad.stride() != view.stride():
                view.grad = torch.empty_like(view).copy_(view.grad)

    optimizer.register_step_pre_hook(take_gradients)
    return optimizer


def _as_stored(tensor: Tensor, weight: Tensor) -> Tensor:
    """``tensor`` with the axes in the order in which ``weight`` is stored."""
    channels_last = weight.dim() == 4 and not weight.is_contiguous()
    return tensor.permute(0, 2, 3, 1) if channels_last else tensor
