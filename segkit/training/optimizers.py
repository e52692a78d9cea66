"""Optimizers: ``train.optimizer`` names a function of this file.

An optimizer is a function of the network's parameters, in groups as torch takes them (see ``groups``), and of the
recipe (``train``) that returns a ``torch.optim.Optimizer``; the learning rate of each group is set before every step,
as ``train.schedule`` says.
"""

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from segkit.base.params import Train


def groups(model: nn.Module, encoder_lr: float) -> ParamsT:
    """The parameters of a network in groups for an optimizer: a single one, or with an ``encoder_lr`` other than 1 the
    encoder's as the last, whose ``lr_scale`` multiplies the learning rate.

    With 0 the encoder's parameters are in no group and get no gradient, which saves the time to compute it.
    """
    if encoder_lr == 1:
        return [{"params": list(model.parameters())}]
    encoder = list(model.encoder_parameters())
    own = {id(parameter) for parameter in encoder}
    rest = {"params": [parameter for parameter in model.parameters() if id(parameter) not in own]}
    if encoder_lr == 0:
        for parameter in encoder:
            parameter.requires_grad_(False)
        return [rest]
    return [rest, {"params": encoder, "lr_scale": encoder_lr}]


def adamw(parameters: ParamsT, recipe: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), torch's fused kernel.

    On the CPU that kernel copies tensors that are not contiguous at every step, and is wrong if a gradient is
    stored in another order than its weight (torch 2.15). So it gets channels-last weights as views ``(K, H, W, C)``.
    """
    optimizer = torch.optim.AdamW(parameters, recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    views = [_as_stored(weight.detach(), weight) for weight in weights]
    rest = iter(views)
    for group in optimizer.param_groups:
        group["params"] = [next(rest) for _ in group["params"]]

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
