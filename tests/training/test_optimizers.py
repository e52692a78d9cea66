"""AdamW is right whatever the memory order of weights and gradients."""

import copy

import pytest
import torch
from torch import nn

from segkit.base.params import Train
from segkit.models import build
from segkit.training import optimizers
from segkit.training.batches import Batch
from tests.tiny import engine, small_params


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


class WithEncoder(nn.Module):
    """A network with two layers, the first of which is the encoder; registered last, as order must not matter."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 2, 3, padding=1)
        self.encoder = nn.Conv2d(3, 3, 3, padding=1)

    def encoder_parameters(self):
        return self.encoder.parameters()

    def forward(self, images):
        return self.head(self.encoder(images))


def trained(
    encoder_lr: float, optimizer=optimizers.adamw, steps: int = 3, rate: float = 0.1
) -> dict[str, torch.Tensor]:
    """The weights after ``steps`` steps of an engine."""
    torch.manual_seed(0)
    model = WithEncoder().to(memory_format=torch.channels_last)
    batch = Batch(torch.randn(2, 3, 8, 8), torch.randint(0, 2, (2, 8, 8), dtype=torch.uint8))
    learner = engine(model, optimizer(optimizers.groups(model, encoder_lr), recipe()), learning_rate=lambda _: rate)
    if steps:
        learner.train([batch] * steps, epoch=0, steps=steps, label="x")
    return model.state_dict()


def test_one_rate_is_one_group_in_the_network_s_order():
    model = WithEncoder()
    (group,) = optimizers.groups(model, 1.0)
    assert [id(each) for each in group["params"]] == [id(each) for each in model.parameters()]
    assert list(group) == ["params"]


def test_the_encoder_s_group_comes_last_and_everything_is_in_one():
    model = WithEncoder()
    rest, encoder = optimizers.groups(model, 0.1)
    assert [id(each) for each in rest["params"]] == [id(each) for each in model.head.parameters()]
    assert [id(each) for each in encoder["params"]] == [id(each) for each in model.encoder.parameters()]


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_the_encoder_s_step_is_scaled_and_no_other(scale):
    """AdamW's first step, weight decay included, is proportional to the rate."""
    start, plain, scaled = trained(1.0, steps=0), trained(1.0, steps=1), trained(scale, steps=1)
    for name, tensor in scaled.items():
        step = plain[name] - start[name]
        expected = start[name] + (scale if "encoder" in name else 1.0) * step
        torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=1e-5)


def test_groups_step_as_torch_s_own_optimizer_with_their_rates():
    def reference(groups, recipe):
        return torch.optim.AdamW(groups, recipe.lr, weight_decay=recipe.weight_decay)

    ours, theirs = trained(0.1), trained(0.1, reference)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-6, rtol=1e-5)


def test_a_factor_of_zero_freezes_the_encoder_and_computes_no_gradient_for_it():
    start, frozen, free = trained(0.0, steps=0), trained(0.0), trained(1.0)
    for name, tensor in frozen.items():
        assert torch.equal(tensor, start[name]) == ("encoder" in name)
        assert not torch.equal(tensor, free[name])
    model = WithEncoder()
    (group,) = optimizers.groups(model, 0.0)
    model(torch.ones(1, 3, 8, 8)).sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert [id(each) for each in group["params"]] == [id(each) for each in model.head.parameters()]
