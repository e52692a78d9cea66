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


def test_the_engine_s_rate_follows_the_schedule_over_all_epochs():
    params = small_params(train__schedule="cosine", train__lr=0.5, train__epochs=8)
    engine = build_engine("unet", params, torch.device("cpu"))
    rates = [engine.learning_rate(epochs) for epochs in (0, 2, 4, 8)]
    assert rates == pytest.approx([0.5, 0.5 * schedules.cosine(0.25), 0.25, 0])
