"""The random transforms of ``augment.type: combine``, one function each, by the name of its key in ``augment.combine``.

A transform is a function of ``numbers`` ``float64 (M, 4)``, uniform in 0 to 1, four for each sample, and of the section
``augment.combine``. It returns either

- an affine map ``float64 (M, 3, 3)``, for image and mask alike, from output to input coordinates; x and y in -1 to 1
  of the width and height (``theta`` of ``F.affine_grid``); or
- a ``Recolour``: a function of the images' values, and its parameters for each sample.

Every transform has its own random stream, so adding or removing one does not change the others.
They are applied in the order of the keys: flip, then rotation, and so on. A recolouring is applied only to samples
whose values are not all zero.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segkit.base.params import Combine


class Recolour(NamedTuple):
    """``function`` of images ``float32 (N, 3, H, W)``, 0 to 255, and of the samples' ``values`` ``(N, K)`` returns
    new images (cut to 0 to 255 later). ``values`` ``float64 (M, K)``: zeros must mean that nothing changes."""

    function: Callable[[Tensor, Tensor], Tensor]
    values: np.ndarray


def flip(numbers: np.ndarray, combine: Combine, aspect: float) -> np.ndarray:
    """Mirrored horizontally with the probability ``combine.flip``."""
    return mirror(x=numbers[:, 0] < combine.flip)


def rotation(numbers: np.ndarray, combine: Combine, aspect: float) -> np.ndarray:
    """Rotated about the centre by up to ``combine.rotation`` degrees, either direction; ``aspect``: height / width."""
    radians = np.deg2rad(combine.rotation) * _signed(numbers[:, 0])
    cos, sin = np.cos(radians), np.sin(radians)
    maps = identity(len(numbers))
    # Rotating the content counter-clockwise means reading clockwise: in pixels with y down, hence ``aspect``.
    maps[:, 0, 0], maps[:, 0, 1] = cos, -sin * aspect
    maps[:, 1, 0], maps[:, 1, 1] = sin / aspect, cos
    return maps


def scale(numbers: np.ndarray, combine: Combine, aspect: float) -> np.ndarray:
    """Enlarged or shrunk about the centre by a factor of up to 1 + ``combine.scale``, log-uniformly."""
    maps = identity(len(numbers))
    maps[:, [0, 1], [0, 1]] = _factor(combine.scale, numbers[:, :1])
    return maps


def stretch(numbers: np.ndarray, combine: Combine, aspect: float) -> np.ndarray:
    """Stretched in x and shrunk in y, or the reverse, by a factor of up to 1 + ``combine.stretch`` each."""
    factor = _factor(combine.stretch, numbers[:, 0])
    maps = identity(len(numbers))
    maps[:, 0, 0], maps[:, 1, 1] = factor, 1 / factor
    return maps


def shear(numbers: np.ndarray, combine: Combine, aspect: float) -> np.ndarray:
    """Sheared along x and y by up to ``combine.shear`` degrees each, in either direction; ``aspect``: as above."""
    slopes = np.tan(np.deg2rad(combine.shear) * _signed(numbers[:, :2]))
    maps = identity(len(numbers))
    maps[:, 0, 1], maps[:, 1, 0] = slopes[:, 0] * aspect, slopes[:, 1] / aspect
    return maps


def shift(numbers: np.ndarray, combine: Combine, aspect: float) -> np.ndarray:
    """Shifted by up to the fraction ``combine.shift`` of width and height, in either direction."""
    maps = identity(len(numbers))
    maps[:, :2, 2] = -2 * combine.shift * _signed(numbers[:, :2])
    return maps


def light(numbers: np.ndarray, combine: Combine, aspect: float) -> Recolour:
    """With ``combine.light_probability``: brightness and contrast changed by up to ``combine.light``, up or down."""
    amount = np.where(numbers[:, 0] < combine.light_probability, combine.light, 0)
    return Recolour(relight, amount[:, None] * _signed(numbers[:, 1:3]))


def relight(images: Tensor, values: Tensor) -> Tensor:
    """Contrast about each image's mean times 1 + ``values[:, 1]``, then 255·``values[:, 0]`` added."""
    brightness, contrast = values.view(-1, 2, 1, 1, 1).unbind(1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images * (1 + contrast)).add_(255 * brightness - mean * contrast)


def colour(numbers: np.ndarray, combine: Combine, aspect: float) -> Recolour:
    """Saturation changed by up to the fraction ``combine.colour``, up or down; hue by up to 36 degrees times that, and
    red and blue by up to a fifth of it, as another white balance would."""
    saturation, hue, red, blue = combine.colour * _signed(numbers).T
    cos, sin = ((1 + saturation) * function(np.deg2rad(36) * hue) for function in (np.cos, np.sin))
    grey, turn = np.full((3, 3), 1 / 3), np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    # A rotation about the grey axis: grey stays, the rest is turned and scaled in the plane across it.
    matrices = grey + cos[:, None, None] * (np.eye(3) - grey) + sin[:, None, None] * turn
    gains = 1 + 0.2 * np.stack([red, 0 * red, blue], axis=1)
    return Recolour(mix_channels, (gains[:, :, None] * matrices - np.eye(3)).reshape(-1, 9))


def mix_channels(images: Tensor, values: Tensor) -> Tensor:
    """Each pixel's colour plus that colour times the matrix ``values`` (3 rows of 3)."""
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    mixed = torch.baddbmm(pixels, pixels, values.view(-1, 3, 3).transpose(1, 2))
    return mixed.unflatten(1, images.shape[-2:]).permute(0, 3, 1, 2)


def gamma(numbers: np.ndarray, combine: Combine, aspect: float) -> Recolour:
    """Values, as fractions of 255, to the power of e to up to ±``combine.gamma``."""
    return Recolour(to_power, combine.gamma * _signed(numbers[:, :1]))


def to_power(images: Tensor, values: Tensor) -> Tensor:
    """Values, as fractions of 255, to the power of e to ``values``."""
    return images.clamp(0, 255).div_(255).pow_(values.exp().view(-1, 1, 1, 1)).mul_(255)


def blur(numbers: np.ndarray, combine: Combine, aspect: float) -> Recolour:
    """With ``combine.blur_probability``: a Gaussian blur of up to ``combine.blur`` of the longer side."""
    amount = np.where(numbers[:, 0] < combine.blur_probability, combine.blur, 0)
    return Recolour(soften, amount[:, None] * numbers[:, 1:2])


def soften(images: Tensor, values: Tensor) -> Tensor:
    """Gaussian blur with a standard deviation of ``values`` times the longer side; at an edge, the weights of the
    pixels inside are scaled up."""
    sides = images.shape[-2:]
    sigma = (values * max(sides)).clamp(min=1e-3).view(-1, 1, 1, 1)
    rows, columns = (_gaussian_weights(side, sigma) for side in sides)
    return rows @ images.clamp(0, 255) @ columns.mT


def _gaussian_weights(side: int, sigma: Tensor) -> Tensor:
    """For each pixel of a blurred line the weights of all pixels, ``float32 (N, 1, side, side)``."""
    places = torch.arange(side, device=sigma.device)
    weights = torch.exp(-((places[:, None] - places) / sigma).square() / 2)
    return weights / weights.sum(-1, keepdim=True)


def noise(numbers: np.ndarray, combine: Combine, aspect: float) -> Recolour:
    """With ``combine.noise_probability``: Gaussian noise of up to ``combine.noise`` of 255, in each channel."""
    amount = np.where(numbers[:, 0] < combine.noise_probability, combine.noise, 0) * numbers[:, 1]
    return Recolour(add_noise, np.stack([amount, numbers[:, 2] * (amount > 0)], axis=1))


def add_noise(images: Tensor, values: Tensor) -> Tensor:
    """Noise with a standard deviation of 255·``values[:, 0]``; ``values[:, 1]``, 0 to 1, is its seed."""
    pixels = torch.arange(images[0].numel(), device=images.device)
    seeds = (values[:, 1:] * 2**24).long()
    # The upper 23 bits, as the middles of equal parts of -1 to 1, which float32 holds exactly.
    signed = ((_mixed(seeds * len(pixels) + pixels) >> 41) & (2**23 - 1)).float().add_(0.5).div_(2**22).sub_(1)
    normal = 2**0.5 * torch.erfinv(signed)
    return images.clamp(0, 255) + normal.view_as(images) * (255 * values[:, 0]).view(-1, 1, 1, 1)


def _mixed(counter: Tensor) -> Tensor:
    """64 random bits for each number, ``int64``, the same on every device: SplitMix64 with a counter as its state
    (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014)."""
    bits = counter * -0x61C8864680B583EB
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        bits = (bits ^ _shifted(bits, shift)) * factor
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, places: int) -> Tensor:
    """Logical right shift."""
    return (bits >> places) & (2 ** (64 - places) - 1)


def identity(rows: int) -> np.ndarray:
    """``rows`` maps that move nothing, ``float64 (rows, 3, 3)``."""
    return np.tile(np.eye(3), (rows, 1, 1))


def mirror(x: np.ndarray | None = None, y: np.ndarray | None = None) -> np.ndarray:
    """Maps ``float64 (M, 3, 3)`` that mirror samples whose ``x`` (horizontally) or ``y`` (vertically) is true."""
    maps = identity(len(x if x is not None else y))
    for axis, mirrored in enumerate((x, y)):
        if mirrored is not None:
            maps[mirrored, axis, axis] = -1
    return maps


def _factor(strength: float, uniform: np.ndarray) -> np.ndarray:
    """0 to 1 as 1 / (1 + strength) to 1 + strength, log-uniformly."""
    return (1 + strength) ** _signed(uniform)


def _signed(uniform: np.ndarray) -> np.ndarray:
    """0 to 1 as -1 to 1."""
    return 2 * uniform - 1
