"""Learning-rate schedules against torch's own, and as an engine uses them."""

import pytest
import torch
from torch import nn

from segkit.training import schedules
from segkit.training.run import build_engine
from tests.tiny import small_params


def test_cosine_is_torch_s():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.5)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for step in range(41):
        assert 0.5 * schedules.cosine(step / 40) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_constant_is_constant():
    assert {schedules.constant(step / 7) for step in range(8)} == {1.0}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_warm_up_rises_in_proportion_and_leaves_the_rest_alone(schedule):
    cold = small_params(train__schedule=schedule, train__lr=0.5, train__epochs=10).train
    warm = cold.model_copy(update={"warmup": 0.2})
    assert 0 < schedules.learning_rate(warm, 0) < 0.01
    for epochs in (0.5, 1, 1.9, 2, 7, 10):
        share = min(1, epochs / 2)
        assert schedules.learning_rate(warm, epochs) == pytest.approx(share * schedules.learning_rate(cold, epochs))


@pytest.mark.parametrize(
    ("size", "stride", "half", "more"),
    [
        ((128, 128), 32, (64, 64), (96, 96)),
        ((64, 64), 32, (64, 64), (64, 64)),
        ((64, 64), 16, (32, 32), (48, 48)),
        ((256, 32), 32, (128, 32), (192, 32)),
        ((96, 96), 32, (64, 64), (64, 64)),
        ((16, 16), 32, (16, 16), (16, 16)),
        ((100, 100), 16, (48, 48), (80, 80)),
    ],
)
def test_the_first_epochs_have_small_images_in_multiples_of_the_stride(size, stride, half, more):
    recipe = small_params(train__epochs=10, train__small_images=0.6).train
    sizes = [schedules.image_size(recipe, size, stride, epoch) for epoch in range(10)]
    assert sizes == [half] * 3 + [more] * 3 + [size] * 4
    whole = recipe.model_copy(update={"small_images": 0.0})
    assert schedules.image_size(whole, size, stride, 0) == size


def test_the_engine_s_rate_follows_the_schedule_over_all_epochs():
    params = small_params(train__schedule="cosine", train__lr=0.5, train__epochs=8)
    engine = build_engine("unet", params, torch.device("cpu"))
    rates = [engine.learning_rate(epochs) for epochs in (0, 2, 4, 8)]
    assert rates == pytest.approx([0.5, 0.5 * schedules.cosine(0.25), 0.25, 0])
