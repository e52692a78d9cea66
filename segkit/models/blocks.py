"""Building blocks of both networks."""

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segkit.base.errors import brief


def double_conv(inputs: int, outputs: int, *, norm: str) -> nn.Sequential:
    """Two 3×3 convolutions with padding 1, each followed by (batch normalisation and) ReLU; ``norm``: none or batch."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        # A bias before batch normalisation would be subtracted again.
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=norm == "none"))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of ``multiple``.

    ``images`` ``(N, C, H, W)``; ``crop`` cuts the output back to ``H`` and ``W``, so that any size works.
    """
    height, width = images.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if torch.compiler.is_exporting():
        return _at(
            images,
            torch.arange(height + bottom).clamp(max=height - 1),
            torch.arange(width + right).clamp(max=width - 1),
        )
    return F.pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images


def crop(images: Tensor, height: int, width: int) -> Tensor:
    """The upper left ``height`` x ``width`` pixels of ``(N, C, H, W)``."""
    if torch.compiler.is_exporting():
        return _at(images, torch.arange(height), torch.arange(width))
    return images[..., :height, :width]


def _at(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows and columns by index: one exported program for all sizes. Slices and F.pad would tie it to whether those of
    the example are multiples."""
    return images[:, :, rows][..., columns]


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of ``model`` for use, not for training: each batch normalisation that follows a convolution is folded
    into its weights. The same function to rounding, in fewer passes over memory.
    """
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        names, children = zip(*module.named_children(), strict=True) if list(module.children()) else ((), ())
        for i, (before, layer) in enumerate(pairwise(children)):
            if isinstance(before, nn.Conv2d) and isinstance(layer, nn.BatchNorm2d):
                setattr(module, names[i], fuse_conv_bn_eval(before, layer))
                setattr(module, names[i + 1], nn.Identity())
    return model


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Make ``weights`` the model's own, which may be on the meta device; raises ValueError if names, shapes or types
    differ, or a number is not finite."""
    try:
        model.load_state_dict(weights, assign=True)
    except (RuntimeError, AttributeError, TypeError) as error:  # of a value that is not a tensor of floats
        raise ValueError(brief(error, 150)) from None
    for name, tensor in model.state_dict().items():
        expected = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        if tensor.dtype != expected or not tensor.isfinite().all():
            raise ValueError(f"{name} is not a finite {str(expected).removeprefix('torch.')} tensor")


def initialise(module: nn.Module) -> None:
    """He initialisation for layers followed by ReLU, and zero biases.

    He et al., "Delving Deep into Rectifiers", 2015, equation 10; the U-Net paper (section 3) asks for the same
    standard deviation, sqrt(2 / fan-in). Without it, 18 layers without batch normalisation barely learn.
    """
    if any(parameter.is_meta for parameter in module.parameters()):
        return  # weights follow; without values to draw, torch would import its compiler
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(layer, nn.ConvTranspose2d):
            # With stride = kernel size each output pixel sums over the input channels only; no ReLU follows.
            nn.init.normal_(layer.weight, std=layer.in_channels**-0.5)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
