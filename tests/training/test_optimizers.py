"""AdamW is right whatever the memory order of weights and gradients."""

import copy

import pytest
import torch
from torch import nn

from segkit.base.params import Train
from segkit.models import build
from segkit.training import optimizers
from tests.tiny import small_params


def recipe() -> Train:
    return small_params(train__lr=0.1, train__weight_decay=0.1).train


@pytest.mark.parametrize("gradient_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("weight_format", [torch.contiguous_format, torch.channels_last])
def test_the_memory_order_of_weights_and_gradients_changes_nothing(weight_format, gradient_format):
    """``fused=True`` alone fails this on the CPU."""
    start = torch.randn(4, 3, 3, 3)
    weight = nn.Parameter(start.contiguous(memory_format=weight_format))
    expected = nn.Parameter(start.clone())
    optimizer, reference = (optimizers.adamw([parameter], recipe()) for parameter in (weight, expected))
    for _ in range(3):
        gradient = torch.randn(4, 3, 3, 3)
        weight.grad, expected.grad = gradient.contiguous(memory_format=gradient_format), gradient
        optimizer.step()
        reference.step()
    torch.testing.assert_close(weight, expected)


def test_a_step_is_that_of_the_paper():
    """Loshchilov and Hutter, algorithm 2, with the constants of Kingma and Ba, at the first step."""
    weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    weight.grad = torch.tensor([0.5, -4.0])
    optimizers.adamw([weight], recipe()).step()
    decayed = torch.tensor([2.0, -3.0]) * (1 - 0.1 * 0.1)
    torch.testing.assert_close(weight.detach(), decayed - 0.1 * torch.tensor([1.0, -1.0]))


def test_whole_networks_move_as_with_torch_s_default_and_a_weight_without_gradient_stays():
    ours = build("unet", width=2).to(memory_format=torch.channels_last)
    theirs = copy.deepcopy(ours)
    optimizer = optimizers.adamw(ours.parameters(), recipe())
    reference = torch.optim.AdamW(theirs.parameters(), 0.1, weight_decay=0.1)
    unused = copy.deepcopy(ours.head.bias)
    for _ in range(3):
        for network in (ours, theirs):
            network.zero_grad()
            network(torch.ones(1, 3, 16, 16)).square().mean().backward()
            network.head.bias.grad = None
        optimizer.step()
        reference.step()
    assert torch.equal(ours.head.bias, unused)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
