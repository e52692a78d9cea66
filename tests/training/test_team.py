"""What processes that train together compute: the same as one alone. Each test starts real processes."""

import copy
import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from segkit.base.params import Loss
from segkit.models import build
from segkit.training.batches import Batch, Part
from segkit.training.loop import Totals
from segkit.training.losses import WeightedLoss
from segkit.training.optimizers import AdamW
from segkit.training.team import SyncedBatchNorm, Team
from tests.tiny import engine

CPU = torch.device("cpu")


def together(work, size: int, folder: Path, *arguments) -> list:
    """``work(team, *arguments)`` in ``size`` processes that form a team; what each returns, by rank."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    where = (size, f"file://{folder / 'store'}", results)
    started = [context.Process(target=_member, args=(work, rank, *where, *arguments)) for rank in range(size)]
    for process in started:
        process.start()
    got = dict(results.get() for _ in range(size))
    for process in started:
        process.join()
    errors = [value for value in got.values() if isinstance(value, Exception)]
    if errors:
        raise errors[0]
    return [got[rank] for rank in range(size)]


def _member(work, rank, size, store, results, *arguments):
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
        results.put((rank, work(Team.current(), *arguments)))
    except Exception as error:
        results.put((rank, RuntimeError(repr(error))))
    finally:
        dist.destroy_process_group()


def batch_norm(team: Team, layer: nn.BatchNorm2d, images: torch.Tensor) -> list[torch.Tensor]:
    """Output, gradients and running means of this process's part."""
    layer = team.synchronise(nn.Sequential(layer))
    assert isinstance(layer[0], SyncedBatchNorm if team.size > 1 else nn.BatchNorm2d)
    rows = torch.from_numpy(team.part.of(torch.arange(len(images)).numpy()))
    part = images[rows].requires_grad_()
    out = layer(part)
    (out * torch.sin(7 * images[rows].detach())).sum().backward()
    return [tensor.detach().numpy() for tensor in (
        out, part.grad, layer[0].weight.grad, layer[0].bias.grad, layer[0].running_mean, layer[0].running_var
    )]  # fmt: skip


@pytest.mark.parametrize("images", [5, 2])  # of three processes, one then has none
def test_batch_normalisation_over_three_processes_is_that_of_one(images, tmp_path):
    layer = nn.BatchNorm2d(4).double()
    nn.init.normal_(layer.weight)
    pictures = torch.randn(images, 4, 3, 5, dtype=torch.float64) + 3
    alone = list(map(torch.from_numpy, batch_norm(Team(), copy.deepcopy(layer), pictures.clone())))
    parts = [list(map(torch.from_numpy, got)) for got in together(batch_norm, 3, tmp_path, layer, pictures)]
    for number in (0, 1):  # output and gradient of each picture
        torch.testing.assert_close(torch.cat([part[number] for part in parts]), alone[number])
    for number in (2, 3):  # gradients of weights add up
        torch.testing.assert_close(sum(part[number] for part in parts), alone[number])
    for number in (4, 5):
        for part in parts:
            torch.testing.assert_close(part[number], alone[number])


def test_batch_normalisation_that_does_not_train_asks_no_other_process():
    layer = SyncedBatchNorm.like(nn.BatchNorm2d(3)).eval()
    torch.testing.assert_close(layer(torch.ones(1, 3, 2, 2)), torch.ones(1, 3, 2, 2), atol=1e-4, rtol=0)


LOSS = WeightedLoss.of(Loss(cross_entropy=1.0, dice=0.5))


def one_step(team: Team, name: str, architecture: dict, images: torch.Tensor, masks: torch.Tensor) -> dict:
    """Loss and Dice of a step, the weights after it, and the validation of the network that results."""
    torch.manual_seed(0)
    model = team.synchronise(build(name, **architecture).double())
    learner = engine(model, AdamW(model.parameters(), 1e-3, 0.01), team=team, loss=LOSS)
    rows = torch.from_numpy(team.part.of(torch.arange(len(images)).numpy()))
    batch = Batch(images[rows], masks[rows])
    means = learner.train([batch], epoch=0, steps=1, label="x")
    gradients = {n: p.grad.clone().numpy() for n, p in model.named_parameters()}
    return {"train": means, "valid": learner.means(learner.validate([batch])), "gradients": gradients}


@pytest.mark.parametrize(
    ("name", "architecture", "count"), [("unet", {"width": 4}, 5), ("unet", {"width": 4}, 2), ("resnet34_unet", {}, 5)]
)
def test_the_gradients_of_three_processes_are_those_of_one(name, architecture, count, tmp_path):
    """Parts of different sizes, one of them empty, and ignored pixels that lie unevenly."""
    images = torch.randn(count, 3, 64, 64, dtype=torch.float64)
    masks = torch.randint(0, 2, (count, 64, 64), dtype=torch.uint8)
    masks[0, :40] = 255
    alone = one_step(Team(), name, architecture, images, masks)
    for got in together(one_step, 3, tmp_path, name, architecture, images, masks):
        assert got["train"] == pytest.approx(alone["train"], rel=1e-5)
        assert got["valid"] == pytest.approx(alone["valid"], rel=1e-4)
        for parameter, gradient in alone["gradients"].items():
            ours, theirs = torch.from_numpy(got["gradients"][parameter]), torch.from_numpy(gradient)
            assert (ours - theirs).norm() <= 1e-5 * theirs.norm() + 1e-9, parameter


def test_a_team_of_one_costs_nothing():
    team, model, tensor = Team.current(), nn.BatchNorm2d(3), torch.ones(2)
    assert (team.size, team.leads) == (1, True)
    assert team.sum(tensor) is tensor
    assert team.network(model, CPU) is team.synchronise(model) is model


def test_totals_count_in_whole_numbers():
    """fp32 would stop counting at 16,777,216 pixels."""
    totals = Totals([torch.tensor([2.0**25 + 4, 1.0])] * 2, [torch.tensor([2**24 + 1, 1])] * 2)
    assert totals.sum()[1].tolist() == [2**25 + 2, 2]
    assert engine(nn.Conv2d(1, 1, 1)).means(totals) == (pytest.approx(2.0), 1.0)


def test_parts_are_all_rows_in_order():
    rows = torch.arange(7).numpy()
    assert [Part(rank, 3).of(rows).tolist() for rank in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [Part(rank, 3).of(rows[:1]).tolist() for rank in range(3)] == [[0], [], []]
