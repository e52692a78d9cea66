"""Several ranks compute what one process does."""

import copy
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from segkit.training import optimizers
from segkit.training.batches import Batch
from segkit.training.distributed import World
from segkit.training.loop import Totals
from segkit.training.run import build_engine
from tests.tiny import engine, small_params

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def in_ranks(work, size: int, folder: Path, *arguments) -> list:
    """``work(world, *arguments)`` in ``size`` processes; what each returns, by rank."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    where = (size, f"file://{folder / 'store'}", results)
    started = [context.Process(target=_rank, args=(work, rank, *where, *arguments)) for rank in range(size)]
    for process in started:
        process.start()
    got = dict(results.get() for _ in range(size))
    for process in started:
        process.join()
    errors = [value for value in got.values() if isinstance(value, Exception)]
    if errors:
        raise errors[0]
    return [got[rank] for rank in range(size)]


def _rank(work, rank, size, store, results, *arguments):
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
        results.put((rank, work(World.current(), *arguments)))
    except Exception as error:
        results.put((rank, RuntimeError(repr(error))))
    finally:
        dist.destroy_process_group()


def batch_norm(world: World, layer: nn.BatchNorm2d, images: torch.Tensor) -> list[torch.Tensor]:
    """Output, gradients and running statistics of this rank's slice; in evaluation mode, the output."""
    model = world.sync_batch_norm(nn.Sequential(copy.deepcopy(layer)), CPU)
    rows = torch.from_numpy(world.slice(torch.arange(len(images)).numpy()))
    own = images[rows].requires_grad_()
    out = model(own)
    (out * torch.sin(7 * images[rows].detach())).sum().backward()
    layer = model[0]
    evaluated = model.eval()(own)
    return [tensor.detach().numpy() for tensor in (
        out, own.grad, evaluated, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var
    )]  # fmt: skip


def one_step(world: World, name: str, images: torch.Tensor, masks: torch.Tensor) -> dict:
    """Loss and Dice of a step, its gradients, and the validation of the network after it."""
    params = small_params(unet__width=2, train__loss__dice=0.5)
    learner = build_engine(name, params, CPU, world)
    learner = replace(learner, optimizer=optimizers.adamw(learner.model.double().parameters(), params.train))
    rows = torch.from_numpy(world.slice(torch.arange(len(images)).numpy()))
    batch = Batch(images[rows], masks[rows])
    means = learner.train([batch], epoch=0, steps=1, label="x")
    gradients = {n: p.grad.clone().numpy() for n, p in learner.model.named_parameters()}
    return {"train": means, "valid": learner.means(learner.validate([batch])), "gradients": gradients}


def everything(world: World, layer: nn.BatchNorm2d, images: torch.Tensor, masks: torch.Tensor) -> dict:
    """All that is compared, in one start of the processes; of two images one rank of three has none."""
    return {
        "batch_norm": {count: batch_norm(world, layer, images[:count].clone()) for count in (5, 2)},
        "step": {
            (name, count): one_step(world, name, images[:count], masks[:count])
            for name, count in (("unet", 5), ("unet", 2), ("resnet34_unet", 5))
        },
        "broadcast": [world.broadcast(b"state" if world.is_main else None), world.broadcast(None)],
        "max": world.max(7 * world.rank),
    }


def arguments() -> tuple[nn.BatchNorm2d, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(3).double()
    nn.init.normal_(layer.weight)
    images = torch.randn(5, 3, 32, 32, dtype=torch.float64) + 3
    masks = torch.randint(0, 2, (5, 32, 32), dtype=torch.uint8)
    masks[0, :20] = 255  # ignored pixels are distributed unevenly
    return layer, images, masks


@pytest.fixture(scope="module")
def alone() -> dict:
    return everything(World(), *arguments())


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    return in_ranks(everything, 3, tmp_path_factory.mktemp("ranks"), *arguments())


@pytest.mark.parametrize("images", [5, 2])
def test_batch_normalisation_is_over_the_global_batch(alone, ranks, images):
    expected = list(map(torch.from_numpy, alone["batch_norm"][images]))
    slices = [list(map(torch.from_numpy, got["batch_norm"][images])) for got in ranks]
    for number in (0, 1, 2):  # outputs and gradient of each image
        torch.testing.assert_close(torch.cat([each[number] for each in slices]), expected[number])
    for number in (3, 4):  # gradients of weights add up
        torch.testing.assert_close(sum(each[number] for each in slices), expected[number])
    for number in (5, 6):
        for each in slices:
            torch.testing.assert_close(each[number], expected[number])


@pytest.mark.parametrize(("name", "images"), [("unet", 5), ("unet", 2), ("resnet34_unet", 5)])
def test_gradients_loss_and_dice_are_those_of_the_global_batch(alone, ranks, name, images):
    expected = alone["step"][name, images]
    for got in (each["step"][name, images] for each in ranks):
        assert got["train"] == pytest.approx(expected["train"], rel=1e-5)
        assert got["valid"] == pytest.approx(expected["valid"], rel=1e-4)
        for parameter, gradient in expected["gradients"].items():
            ours, theirs = torch.from_numpy(got["gradients"][parameter]), torch.from_numpy(gradient)
            assert (ours - theirs).norm() <= 1e-5 * theirs.norm() + 1e-9, parameter


def test_ranks_agree_on_bytes_and_numbers(ranks):
    assert [got["broadcast"] for got in ranks] == [[b"state", None]] * 3
    assert [got["max"] for got in ranks] == [14] * 3


def test_a_single_process_costs_nothing():
    world, model, tensor = World.current(), nn.BatchNorm2d(3), torch.ones(2)
    assert (world, world.is_main) == (World(rank=0, size=1), True)
    assert world.sum(tensor) is tensor
    assert world.parallel(model) is world.sync_batch_norm(model, CPU) is model


def test_on_cuda_batch_normalisation_is_torch_s_and_an_empty_slice_has_the_type_of_its_statistics():
    layer = World(0, 2).sync_batch_norm(nn.Sequential(nn.BatchNorm2d(3)), torch.device("cuda"))[0].eval()
    assert type(layer) is nn.SyncBatchNorm
    assert layer(torch.ones(0, 3, 2, 2, dtype=torch.bfloat16)).dtype == torch.float32
    assert layer(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_totals_count_in_whole_numbers():
    """fp32 would stop counting at 16,777,216 pixels."""
    totals = Totals([torch.tensor([2.0**25 + 4, 1.0])] * 2, [torch.tensor([2**24 + 1, 1])] * 2)
    assert totals.sum()[1].tolist() == [2**25 + 2, 2]
    assert engine(nn.Conv2d(1, 1, 1)).means(totals) == (pytest.approx(2.0), 1.0)


def test_slices_are_all_rows_in_order():
    rows = torch.arange(7).numpy()
    assert [World(rank, 3).slice(rows).tolist() for rank in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [World(rank, 3).slice(rows[:1]).tolist() for rank in range(3)] == [[0], [], []]
