"""The two networks are those of the report, layer by layer."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet34

from segkit.models import build
from segkit.models.blocks import fold_batch_norm


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def conv(kernel: int, inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Parameters of a convolution, transposed or not: a kernel for each pair of channels, and biases."""
    return kernel**2 * inputs * outputs + bias * outputs


def batch_norm(channels: int) -> int:
    """A scale and a shift a channel."""
    return 2 * channels


def unet_parameters(width: int) -> int:
    """Five levels of two 3×3 convolutions, four 2×2 transposed convolutions up, two 3×3 convolutions after each
    concatenation of skip and upsampled channels, and a 1×1 convolution to 2 channels."""

    def level(inputs: int, outputs: int) -> int:
        return conv(3, inputs, outputs) + conv(3, outputs, outputs)

    channels = [width * 2**i for i in range(5)]
    down = sum(level(*pair) for pair in zip([3, *channels[:-1]], channels, strict=True))
    up = sum(conv(2, 2 * c, c) + level(2 * c, c) for c in channels[:-1])
    return down + up + conv(1, width, 2)


def resnet34_parameters() -> int:
    """He et al. 2015, table 1, column "34-layer", without the classifier. A convolution before batch normalisation
    has no bias; where a stage halves the size, a 1×1 convolution with batch normalisation fits the shortcut."""

    def block(inputs: int, outputs: int) -> int:
        convolutions = conv(3, inputs, outputs, bias=False) + conv(3, outputs, outputs, bias=False)
        shortcut = conv(1, inputs, outputs, bias=False) + batch_norm(outputs) if inputs != outputs else 0
        return convolutions + 2 * batch_norm(outputs) + shortcut

    total, inputs = conv(7, 3, 64, bias=False) + batch_norm(64), 64
    for blocks, outputs in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for _ in range(blocks):
            total += block(inputs, outputs)
            inputs = outputs
    return total


def resnet34_unet_parameters() -> int:
    """The trunk; a 1×1 bridge 512→256 with batch normalisation; stage 3 widened 256→512 by a 1×1 convolution; four
    decoder steps that concatenate, go up to 32 channels, and convolve twice; a last step up; a 1×1 convolution."""

    def step(inputs: int) -> int:
        return conv(2, inputs, 32) + 2 * (conv(3, 32, 32, bias=False) + batch_norm(32))

    bridge = conv(1, 512, 256, bias=False) + batch_norm(256)
    decoder = sum(step(inputs) for inputs in (256 + 512, 32 + 512, 32 + 128, 32 + 64))
    return resnet34_parameters() + bridge + conv(1, 256, 512) + decoder + conv(2, 32, 32) + conv(1, 32, 1)


@pytest.mark.parametrize("width", [1, 8, 64])
def test_unet_has_the_parameters_of_its_layers(width):
    with torch.device("meta"):
        assert parameters(build("unet", width=width)) == unet_parameters(width)


def test_unet_of_the_report_has_31_million_parameters():
    assert unet_parameters(64) == 31_031_810


def test_resnet34_unet_has_the_parameters_of_its_layers():
    with torch.device("meta"):
        assert parameters(build("resnet34_unet")) == resnet34_unet_parameters() == 21_827_073


def test_the_formula_counts_torchvision_s_trunk():
    with torch.device("meta"):
        trunk = resnet34()
    assert resnet34_parameters() == parameters(trunk) - parameters(trunk.fc) == 21_284_672


def test_unet_has_no_batch_normalisation():
    with torch.device("meta"):
        kinds = {type(module) for module in build("unet").modules()}
    assert kinds >= {nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.ReLU}
    assert not any(issubclass(kind, nn.modules.batchnorm._BatchNorm) for kind in kinds)


def hooked_shapes(name: str, side: int, **architecture) -> dict[str, tuple[int, ...]]:
    """Output shape of every module for one square picture, without computing anything."""
    shapes = {}
    with torch.device("meta"):
        model = build(name, **architecture).eval()
        for module_name, module in model.named_modules():
            module.register_forward_hook(
                lambda _, __, output, key=module_name: shapes.update({key: tuple(output.shape[1:])})
            )
        model(torch.zeros(1, 3, side, side))
    return shapes


def test_unet_halves_and_doubles_as_the_paper_draws_it():
    shapes = hooked_shapes("unet", 64, width=64)
    assert [shapes[f"encoder.{i}"] for i in range(5)] == [(64 * 2**i, 64 >> i, 64 >> i) for i in range(5)]
    assert [shapes[f"up.{i}"] for i in range(4)] == [(512 >> i, 8 << i, 8 << i) for i in range(4)]
    assert [shapes[f"decoder.{i}"] for i in range(4)] == [(512 >> i, 8 << i, 8 << i) for i in range(4)]
    assert shapes["head"] == (2, 64, 64)


def test_resnet34_unet_goes_up_in_32_channels():
    shapes = hooked_shapes("resnet34_unet", 64)
    assert shapes["stem"] == (64, 16, 16)
    assert [shapes[f"stages.{i}"] for i in range(4)] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert (shapes["bridge"], shapes["widen"]) == ((256, 2, 2), (512, 4, 4))
    assert [shapes[f"decoder.{i}"] for i in range(4)] == [(32, 4 << i, 4 << i) for i in range(4)]
    assert shapes[""] == (1, 64, 64)


@pytest.mark.parametrize(("name", "channels"), [("unet", 2), ("resnet34_unet", 1)])
def test_the_last_layer_is_a_bare_convolution(name, channels):
    """A ReLU after it would cut the negative logits: foreground could never be ruled out."""
    found, model = [], build(name).eval()
    model.head.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.inference_mode():
        logits = model(torch.randn(2, 3, 64, 96))
    assert (model.head.kernel_size, model.head.out_channels) == ((1, 1), channels)
    assert torch.equal(logits, found[0])
    assert logits.min() < 0 < logits.max()


def test_weights_start_with_he_s_deviation():
    torch.manual_seed(0)
    for name, architecture in (("unet", {"width": 16}), ("resnet34_unet", {})):
        model = build(name, **architecture)
        decoder = model.decoder if name == "unet" else [up.conv for up in model.decoder]
        for layer in (layer for block in decoder for layer in block if isinstance(layer, nn.Conv2d)):
            fan_in = layer.in_channels * 9
            assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
            assert layer.bias is None or not layer.bias.any()


def test_folded_batch_normalisation_is_the_same_function():
    torch.manual_seed(0)
    model = build("resnet34_unet")
    images = torch.randn(4, 3, 64, 64)
    model.train()(images)  # running means other than 0 and 1
    model.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), model(images), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
