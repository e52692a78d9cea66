"""AdamW over memory as it lies does what torch's own does."""

import copy

import pytest
import torch
from torch import nn

from segkit.models import build
from segkit.training.optimizers import AdamW


def networks() -> list[nn.Module]:
    torch.manual_seed(0)
    return [build("unet", width=2), nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1))]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("number", [0, 1])
def test_steps_are_those_of_torch_one_by_one(number, layout):
    ours = networks()[number].to(memory_format=layout)
    theirs = copy.deepcopy(ours)
    optimizer = AdamW(ours.parameters(), 0.01, 0.1)
    reference = torch.optim.AdamW(theirs.parameters(), 0.01, weight_decay=0.1, foreach=False)
    for _ in range(4):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        optimizer.step()
        reference.step()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_gradients_in_another_order_than_the_weights_are_put_in_order():
    """torch's fused kernel on the CPU would pair wrong elements."""
    weight = nn.Parameter(torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last))
    expected = nn.Parameter(weight.detach().clone())
    gradient = torch.randn(4, 3, 3, 3)
    weight.grad, expected.grad = gradient.clone(), gradient.clone(memory_format=torch.channels_last)
    weight.grad = gradient  # contiguous, unlike the weight
    AdamW([weight], 0.1, 0.0).step()
    torch.optim.AdamW([expected], 0.1, weight_decay=0.0, foreach=False).step()
    torch.testing.assert_close(weight, expected)


def test_zero_grad_forgets_and_a_weight_without_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = AdamW([used, unused], 0.1, 0.5)
    used.grad = torch.ones(2)
    optimizer.step()
    assert (unused == 1).all() and not (used == 1).any()
    optimizer.zero_grad()
    assert used.grad is None
    before = used.detach().clone()
    optimizer.step()
    assert torch.equal(used, before)
    assert optimizer.param_groups[0]["lr"] == 0.1
