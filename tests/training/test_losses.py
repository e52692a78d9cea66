"""Loss terms against their definitions, and their weighted sum."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.packed import IGNORED
from segkit.base.params import Loss
from segkit.training import losses
from segkit.training.losses import WeightedLoss
from tests.tiny import few, raw_params


def batch(images: int, channels: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.tensor([0, 1, IGNORED], dtype=torch.uint8)[torch.randint(0, 3, (images, 6, 5), generator=generator)]
    return 3 * torch.randn(images, channels, 6, 5, generator=generator, dtype=torch.float64), masks


def test_every_key_is_a_function():
    assert all(callable(getattr(losses, name)) for name in raw_params()["train"]["loss"])


@pytest.mark.parametrize("channels", [1, 2])
def test_cross_entropy_is_torch_s(channels):
    logits, masks = batch(4, channels)
    total, count = losses.cross_entropy(logits, masks)
    if channels == 2:
        targets = masks.long().masked_fill(masks == IGNORED, -100)
        expected = F.cross_entropy(logits, targets)
    else:
        used = masks != IGNORED
        expected = F.binary_cross_entropy_with_logits(logits[:, 0][used], masks[used].double())
    assert count == (masks != IGNORED).sum()
    assert (total / count).item() == pytest.approx(expected.item(), rel=1e-5)


@few
@given(st.integers(1, 5), st.sampled_from([1, 2]), st.integers(0, 99))
def test_dice_is_its_definition_image_by_image(images, channels, seed):
    logits, masks = batch(images, channels, seed)
    total, count = losses.dice(logits, masks)
    foreground = (logits[:, 0] if channels == 1 else logits[:, 1] - logits[:, 0]).numpy()
    expected = 0.0
    for values, mask in zip(foreground, masks.numpy(), strict=True):
        p, y = 1 / (1 + np.exp(-values[mask != IGNORED])), mask[mask != IGNORED] == 1
        expected += 1 - (2 * p[y].sum() + 1) / (p.sum() + y.sum() + 1)
    assert count == images and count.dtype == torch.int64
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_an_image_without_foreground_still_has_a_gradient_of_dice():
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    losses.dice(logits, torch.zeros(1, 4, 4, dtype=torch.uint8))[0].backward()
    assert (logits.grad > 0).all()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("value", [0, 1, IGNORED])
def test_a_batch_of_one_value_has_a_finite_loss_and_gradient(channels, value):
    """As windows of background have, and windows whose every pixel is ignored."""
    logits = (50 * torch.randn(2, channels, 4, 4)).requires_grad_()
    weighted = WeightedLoss.of(Loss(cross_entropy=1.0, dice=1.0))
    loss = weighted.mean(*weighted(logits, torch.full((2, 4, 4), value, dtype=torch.uint8)))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    assert (loss == 0 and not logits.grad.any()) == (value == IGNORED)


@few
@given(st.floats(0.1, 5), st.floats(0.1, 5))
def test_the_loss_is_the_weighted_sum_of_means(cross_entropy, dice):
    logits, masks = batch(3, 2)
    weighted = WeightedLoss.of(Loss(cross_entropy=cross_entropy, dice=dice))
    means = [total / count for total, count in (losses.cross_entropy(logits, masks), losses.dice(logits, masks))]
    found = weighted.mean(*weighted(logits, masks))
    assert found.item() == pytest.approx(cross_entropy * means[0].item() + dice * means[1].item(), rel=1e-6)


def test_a_term_without_weight_is_not_computed(monkeypatch):
    monkeypatch.setattr(losses, "dice", lambda *_: pytest.fail("computed"))
    sums, counts = WeightedLoss.of(Loss(cross_entropy=1.0, dice=0.0))(*batch(2, 1))
    assert sums.shape == counts.shape == (1,)
