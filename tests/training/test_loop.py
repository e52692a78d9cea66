"""An epoch of training, a pass of validation, and when to stop."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from segkit.base.packed import IGNORED
from segkit.base.params import Loss
from segkit.training.batches import Batch
from segkit.training.loop import EarlyStopping, Engine
from segkit.training.losses import WeightedLoss
from tests.tiny import engine, many


def batch(count: int, seed: int = 0, side: int = 8) -> Batch:
    """Red is foreground, blue is background, a few pixels are ignored."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 2, (count, side, side), generator=generator).to(torch.uint8)
    images = torch.randn(count, 3, side, side, generator=generator) * 0.1
    images[:, 0] += masks
    images[:, 2] += 1 - masks.float()
    masks[torch.rand(masks.shape, generator=generator) < 0.1] = IGNORED
    return Batch(images, masks)


def learner_of(
    lr: float = 0.1, channels: int = 1, precision: str = "fp32", loss: Loss | None = None, **layers: nn.Module
) -> Engine:
    torch.manual_seed(0)
    model = nn.Sequential(*layers.values(), nn.Conv2d(3, channels, 1))
    loss = WeightedLoss.of(loss or Loss(cross_entropy=1.0, dice=0.0))
    return engine(model, torch.optim.AdamW(model.parameters(), lr), precision=precision, loss=loss)


def validated(learner: Engine, batches: list[Batch]) -> tuple[float, float]:
    return learner.means(learner.validate(batches))


def trained(learner: Engine, batches: list[Batch]) -> tuple[float, float]:
    return learner.train(batches, epoch=0, steps=len(batches), label="x")


def expected(model: nn.Module, batches: list[Batch]) -> tuple[float, float]:
    """Mean loss of all pixels that count, and mean Dice of the images, with nothing of segkit."""
    with torch.no_grad():
        logits = torch.cat([model(batch.images)[:, 0] for batch in batches])
    masks = torch.cat([batch.masks for batch in batches])
    used = masks != IGNORED
    loss = F.binary_cross_entropy_with_logits(logits[used], masks[used].float())
    dice = []
    for image_logits, mask, counts in zip(logits, masks, used, strict=True):
        found, truth = image_logits[counts] >= 0, mask[counts] == 1
        dice.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    return loss.item(), torch.stack(dice).mean().item()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_separates_two_colours(channels, precision):
    learner = learner_of(channels=channels, precision=precision)
    first = validated(learner, [batch(4, seed=9)])
    for _ in range(15):
        trained(learner, [batch(4, seed=i) for i in range(4)])
    loss, dice = validated(learner, [batch(4, seed=9)])
    assert dice > 0.98 > first[1]
    assert loss < 0.2 < first[0]


def test_loss_and_dice_are_means_over_pixels_and_images_not_over_batches():
    batches = [batch(5, seed=1), batch(1, seed=2), batch(2, seed=3)]
    learner = learner_of(lr=0.0)
    learner.model[0].weight.data = torch.tensor([0.5, 3.0, -0.5]).view(1, 3, 1, 1)  # right about most pixels
    assert 0.5 < expected(learner.model, batches)[1] < 0.95
    assert trained(learner, batches) == pytest.approx(expected(learner.model, batches), rel=1e-5)
    assert validated(learner, batches) == pytest.approx(expected(learner.model, batches), rel=1e-5)


def test_validation_does_not_depend_on_how_images_are_batched():
    one = batch(6)
    parts = [Batch(one.images[i : i + 2], one.masks[i : i + 2]) for i in range(0, 6, 2)]
    learner = learner_of()
    assert validated(learner, parts) == pytest.approx(validated(learner, [one]), rel=1e-5)


def test_a_step_follows_the_gradient_of_the_mean_over_the_pixels_that_count():
    learner = learner_of(lr=0.01)
    reference = copy.deepcopy(learner.model)
    optimizer = torch.optim.AdamW(reference.parameters(), 0.01)
    for data in (batch(3, seed=1), batch(2, seed=2)):
        trained(learner, [data])
        optimizer.zero_grad()
        used = data.masks != IGNORED
        F.binary_cross_entropy_with_logits(reference(data.images)[:, 0][used], data.masks[used].float()).backward()
        optimizer.step()
    for ours, theirs in zip(learner.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_validation_and_prediction_move_nothing():
    learner = learner_of(norm=nn.BatchNorm2d(3))
    trained(learner, [batch(4)])
    before = copy.deepcopy(learner.model.state_dict())
    learner.validate([batch(4, seed=5)])
    predictions = learner.predict(batch(4, seed=5))
    assert (predictions.dtype, predictions.shape) == (torch.bool, (4, 8, 8))
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.model.state_dict().items())


def test_training_updates_running_means_again_after_a_validation():
    learner = learner_of(norm=nn.BatchNorm2d(3))
    learner.validate([batch(4)])
    before = learner.model[0].running_mean.clone()
    trained(learner, [batch(4)])
    assert not torch.equal(learner.model[0].running_mean, before)


def test_a_batch_of_ignored_pixels_changes_no_weight_by_its_gradient():
    data = batch(2)
    data.masks.fill_(IGNORED)
    model = nn.Conv2d(3, 1, 1)
    learner = engine(model, torch.optim.SGD(model.parameters(), 0.1))
    before = copy.deepcopy(model.state_dict())
    assert trained(learner, [data])[0] == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class Weights(nn.Module):
    """A network of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))


def run(losses: list[float], patience: int) -> tuple[EarlyStopping, int]:
    """Feed losses until it says stop; the model's only weight is the number of the epoch."""
    stopping, model = EarlyStopping(patience), Weights()
    for epoch, loss in enumerate(losses):
        model.number.data.fill_(epoch)
        stopping.update(epoch, loss, loss / 10, model)
        if stopping.should_stop(epoch):
            return stopping, epoch + 1
    return stopping, len(losses)


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([3, 2, 1, 2, 2, 2], 3, 6, 2),
        ([3, 2, 1, 2, 2, 0.5, 9, 9, 9, 9], 3, 9, 5),
        ([1, 1, 1, 1, 1], 2, 3, 0),  # as low is not lower
        ([1, 2, 3], 1, 2, 0),
        ([5, 4, 3, 2, 1], 1, 5, 4),
        ([1, 2, 2, 2], 7, 4, 0),
    ],
)
def test_it_stops_after_patience_epochs_without_a_lower_loss(losses, patience, epochs, best):
    stopping, ran = run(losses, patience)
    assert (ran, stopping.best_epoch) == (epochs, best)
    assert (stopping.best_loss, stopping.best_dice) == (losses[best], losses[best] / 10)


@many
@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(1, 5))
def test_it_keeps_the_first_lowest_of_what_it_saw(losses, patience):
    stopping, ran = run(losses, patience)
    seen = losses[:ran]
    assert stopping.best_loss == min(seen)
    assert stopping.best_epoch == seen.index(min(seen))
    assert stopping.best_weights["number"] == stopping.best_epoch
    if ran < len(losses):
        assert ran == stopping.best_epoch + 1 + patience


@many
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 5))
def test_by_dice_it_keeps_the_first_highest_whatever_the_loss(scores, patience):
    stopping, model, seen = EarlyStopping(patience, "dice"), Weights(), []
    for epoch, score in enumerate(scores):
        seen.append(score)
        stopping.update(epoch, 1.0 + epoch, score, model)
        if stopping.should_stop(epoch):
            assert epoch == stopping.best_epoch + patience
            break
    assert (stopping.best_dice, stopping.best_epoch) == (max(seen), seen.index(max(seen)))
    assert stopping.best_loss == 1.0 + stopping.best_epoch


def test_it_keeps_copies_of_all_weights_and_running_means():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    stopping = EarlyStopping(3)
    assert stopping.update(0, 1.0, 0.5, model) is True
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    model(torch.randn(2, 3, 4, 4)).pow(2).sum().backward()
    optimizer.step()
    assert stopping.update(1, 2.0, 0.5, model) is False
    assert stopping.best_weights.keys() == before.keys()
    for name, tensor in before.items():
        assert torch.equal(stopping.best_weights[name], tensor)
    assert not torch.equal(model.state_dict()["1.running_mean"], before["1.running_mean"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_never_the_best(value):
    stopping = EarlyStopping(2)
    assert stopping.update(0, value, 0.5, Weights()) is False
    assert stopping.update(1, 1.0, 0.5, Weights()) is True
    assert stopping.update(2, value, 0.5, Weights()) is False
    assert (stopping.best_epoch, stopping.best_loss) == (1, 1.0)


def test_batches_that_are_ignored_altogether_change_no_mean_and_no_weight():
    learner, empty = learner_of(channels=2), batch(3)
    empty.masks.fill_(IGNORED)
    before = copy.deepcopy(learner.model.state_dict())
    assert trained(learner, [empty]) == (0, 1), "nothing to find, and nothing found where it counts"
    after = learner.model.state_dict()
    shrunk = 1 - 0.1 * 0.01  # AdamW's weight decay
    assert all(torch.allclose(after[name], shrunk * tensor) for name, tensor in before.items())
    assert validated(learner, [batch(3), empty])[0] == pytest.approx(validated(learner, [batch(3)])[0])
