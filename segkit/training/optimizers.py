"""Optimizers: ``train.optimizer`` names a function of this file.

An optimizer is a function of the network's parameters and of the recipe (``train``) that returns a
``torch.optim.Optimizer``; its learning rate is set anew before every step, as ``train.schedule`` says.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from segkit.base.params import Train


def adamw(parameters: Iterable[nn.Parameter], recipe: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019)."""
    return AdamW(parameters, recipe.lr, recipe.weight_decay)


class AdamW(torch.optim.AdamW):
    """torch's fused AdamW over views of the parameters that are contiguous.

    On the CPU the fused kernel copies a channels-last tensor into another order at every step, which takes as long
    as the step itself. State and weights are the same but for the order of the axes.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._views = [_contiguous_as(parameter, parameter.detach()) for parameter in self._parameters]
        super().__init__(self._views, lr, weight_decay=weight_decay, fused=True)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient."""
        for parameter, view in zip(self._parameters, self._views, strict=True):
            view.grad = None if parameter.grad is None else _contiguous_as(parameter, parameter.grad)
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter, view in zip(self._parameters, self._views, strict=True):
            parameter.grad = view.grad = None


def _contiguous_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """``tensor`` in the order of axes that is contiguous for ``parameter``: as it is, or ``(K, H, W, C)``."""
    if parameter.dim() == 4 and not parameter.is_contiguous():
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.contiguous()
