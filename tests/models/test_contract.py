"""What every network must do, whatever it is made of."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import nn

from segkit.base.errors import InputError
from segkit.base.packed import IGNORED
from segkit.base.params import MODEL_NAMES
from segkit.models import build, heads
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from segkit.models.counts import count, dice_per_image
from tests.tiny import usable

ARCHITECTURE = {"unet": {"width": 8}, "resnet34_unet": {}}
CHANNELS = {"unet": 2, "resnet34_unet": 1}


@pytest.fixture(params=MODEL_NAMES)
def name(request) -> str:
    return request.param


@cache
def fresh(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build(name, **ARCHITECTURE[name])


@pytest.fixture
def model(name) -> nn.Module:
    return deepcopy(fresh(name))


def images(height: int = 32, width: int = 32, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def ellipses(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two noisy pictures with an ellipse each, at different places, and their masks."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    places = [(0.4, 0.35, 0.3, 0.2), (0.6, 0.55, 0.2, 0.35)]
    masks = [((x / side - cx) / rx) ** 2 + ((y / side - cy) / ry) ** 2 < 1 for cx, cy, rx, ry in places]
    masks = torch.stack(masks).to(torch.uint8)
    return 2 * masks[:, None].float() - 1 + images(side, side), masks


def test_every_model_is_tested_here():
    assert set(MODEL_NAMES) == set(ARCHITECTURE) == set(CHANNELS)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (33, 47), (40, 100), (17, 65)])
def test_the_output_has_the_size_of_the_input(name, model, size):
    with torch.inference_mode():
        logits = model.eval()(images(*size, count=1))
    assert logits.shape == (1, CHANNELS[name], *size)
    assert logits.isfinite().all()


def test_every_parameter_gets_a_finite_gradient(model):
    masks = torch.randint(0, 2, (2, 47, 64), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    heads.pixel_losses(model.train()(images(47, 64)), masks).mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def test_a_picture_is_seen_alike_in_any_batch(model):
    batch = images(count=3)
    with torch.inference_mode():
        model.eval()
        alone = torch.cat([model(batch[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(model(batch), alone, atol=1e-4, rtol=1e-4)


def test_channels_last_gives_the_same_logits(model):
    with torch.inference_mode():
        model.eval()
        plain = model(images())
        model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            model(images().contiguous(memory_format=torch.channels_last)), plain, atol=1e-4, rtol=1e-4
        )


def test_the_same_seed_gives_the_same_weights(name, model):
    torch.manual_seed(0)
    again = build(name, **ARCHITECTURE[name])
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), again.parameters(), strict=True))


def test_logits_of_both_signs_come_out(model):
    with torch.inference_mode():
        foreground = heads.foreground_logits(model.eval()(images(64, 64)))
        model.head.bias.fill_(-100)
        if len(model.head.bias) == 2:
            model.head.bias[0] = 100
        assert (heads.foreground_logits(model(images(64, 64))) < 0).all()
    assert foreground.std() > 0


def test_a_saved_model_is_the_same_model(name, model, tmp_path):
    model.train()(images())  # moves the running means, which must be saved too
    metadata = usable(name, ARCHITECTURE[name], note=[1, None, "ü"])
    save_checkpoint(tmp_path / "x.safetensors", model.state_dict(), metadata)
    loaded = load_checkpoint(tmp_path / "x.safetensors")
    assert loaded.metadata == metadata | {"format": 1}
    assert not loaded.model.training
    with torch.inference_mode():
        assert torch.equal(loaded.model(images(40, 36)), model.eval()(images(40, 36)))


def test_an_exported_model_gives_the_same_logits(model):
    model.eval()
    with torch.inference_mode():
        expected = model(images(32, 48))
    program = torch.export.export(model, (images(32, 48),))
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(images(32, 48)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("which", "side", "steps", "rate"),
    [("unet", 48, 80, 3e-3), pytest.param("resnet34_unet", 64, 40, 2e-3, marks=pytest.mark.slow)],
)
def test_training_overfits_two_images(which, side, steps, rate):
    model = deepcopy(fresh(which))
    pictures, masks = ellipses(side)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        heads.pixel_losses(model(pictures), masks).mean().backward()
        optimizer.step()
    with torch.inference_mode():
        predictions = heads.likelier(model.eval()(pictures))
    assert dice_per_image(count(predictions, masks)).min() > 0.98


def test_ignored_pixels_teach_nothing(model):
    masks = torch.full((2, 32, 32), IGNORED, dtype=torch.uint8)
    heads.pixel_losses(model.train()(images()), masks).sum().backward()
    assert all((parameter.grad == 0).all() for parameter in model.parameters())


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="unknown model 'vnet'; choose one of unet, resnet34_unet"):
        build("vnet")
