"""One place knows what a head means, and it agrees with torch about both kinds."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.packed import IGNORED
from segkit.models import heads
from tests.tiny import many


def case(channels: int, seed: int = 0, spread: float = 5.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that want a gradient, and masks with all three values."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(2, channels, 5, 7, generator=generator, dtype=torch.float32)
    masks = torch.tensor([0, 1, IGNORED], dtype=torch.uint8)[torch.randint(0, 3, (2, 5, 7), generator=generator)]
    return logits.requires_grad_(), masks


def torch_losses(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for 2 channels, binary cross-entropy for 1, as torch has them."""
    if logits.shape[1] == 2:
        return F.cross_entropy(logits, masks.long(), ignore_index=IGNORED, reduction="none")
    losses = F.binary_cross_entropy_with_logits(logits[:, 0], (masks == 1).float(), reduction="none")
    return torch.where(masks == IGNORED, 0.0, losses)


@many
@given(st.sampled_from([1, 2]), st.integers(0, 1000), st.sampled_from([0.1, 5.0, 50.0]))
def test_losses_and_gradients_are_torch_s(channels, seed, spread):
    ours, theirs = case(channels, seed, spread), case(channels, seed, spread)
    losses, expected = heads.pixel_losses(*ours), torch_losses(*theirs)
    torch.testing.assert_close(losses, expected, atol=1e-4, rtol=1e-5)
    losses.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, atol=1e-5, rtol=1e-4)


def test_the_mean_over_counted_pixels_is_cross_entropy_with_ignore_index():
    logits, masks = case(2)
    mean = heads.pixel_losses(logits, masks).sum() / (masks != IGNORED).sum()
    torch.testing.assert_close(mean, F.cross_entropy(logits, masks.long(), ignore_index=IGNORED))


@many
@given(st.integers(0, 1000), st.sampled_from([0.1, 5.0, 50.0]))
def test_probabilities_are_softmax_and_sigmoid(seed, spread):
    two, one = case(2, seed, spread)[0], case(1, seed, spread)[0]
    torch.testing.assert_close(heads.probabilities(two), two.softmax(1)[:, 1])
    torch.testing.assert_close(heads.probabilities(one), one.sigmoid()[:, 0])


@pytest.mark.parametrize("channels", [1, 2])
def test_ignored_pixels_cost_nothing_and_have_no_gradient(channels):
    logits, masks = case(channels)
    losses = heads.pixel_losses(logits, masks)
    losses.sum().backward()
    ignored = masks == IGNORED
    assert (losses[ignored] == 0).all()
    assert (losses[~ignored] > 0).all()
    assert (logits.grad.movedim(1, -1)[ignored] == 0).all()
    assert (logits.grad.movedim(1, -1)[~ignored] != 0).any()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("value", [1e4, -1e4])
def test_extreme_logits_stay_finite(channels, value):
    logits = torch.full((1, channels, 2, 2), value)
    logits[:, 0] = -value if channels == 2 else value
    for masks in (torch.zeros(1, 2, 2, dtype=torch.uint8), torch.ones(1, 2, 2, dtype=torch.uint8)):
        assert heads.pixel_losses(logits, masks).isfinite().all()
        assert heads.probabilities(logits).isfinite().all()


@pytest.mark.parametrize("channels", [1, 2])
def test_half_precision_logits_are_reduced_in_float32(channels):
    logits, masks = case(channels)
    rounded = logits.detach().to(torch.bfloat16)
    assert heads.pixel_losses(rounded, masks).dtype == heads.probabilities(rounded).dtype == torch.float32
    torch.testing.assert_close(heads.pixel_losses(rounded, masks), heads.pixel_losses(rounded.float(), masks))


def test_foreground_begins_at_the_threshold():
    probabilities = torch.tensor([0.0, 0.3, 0.5, 0.7, 1.0])
    assert heads.predict(probabilities, 0.5).tolist() == [False, False, True, True, True]
    assert heads.predict(probabilities, 0.7).tolist() == [False, False, False, True, True]
    assert heads.predict(probabilities, 0.5).dtype == torch.bool


def test_the_second_of_two_channels_is_foreground():
    logits = torch.tensor([0.0, 3.0]).view(1, 2, 1, 1)
    assert heads.predict(heads.probabilities(logits), 0.5).all()
    assert not heads.predict(heads.probabilities(logits.flip(1)), 0.5).any()
    assert heads.foreground_logits(logits).item() == 3


def test_other_channel_counts_are_refused():
    with pytest.raises(ValueError, match="1 or 2 channels, not 3"):
        heads.probabilities(torch.zeros(1, 3, 2, 2))
