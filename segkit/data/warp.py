"""Apply drawn transforms to a whole batch on its device: one warp for shift, rotation and flips."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.data.plan import Draws


def warp(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Transform pictures bilinearly and masks by nearest neighbour, both along the same grid.

    ``images`` ``float32 (N, 3, H, W)`` with values 0 to 255, ``masks`` ``uint8 (N, H, W)``; returns the same shapes
    and dtypes. What moves in from outside is the mirrored inside, in picture and mask alike.
    """
    height, width = images.shape[-2:]
    inverse = torch.from_numpy(_inverse_maps(draws, height, width)).to(images.device)
    grid = F.affine_grid(inverse, list(images.shape), align_corners=False)
    options = {"padding_mode": "reflection", "align_corners": False}
    images = F.grid_sample(images, grid, mode="bilinear", **options)
    warped = F.grid_sample(masks.unsqueeze(1).float(), grid, mode="nearest", **options)
    return _relight(images, draws), warped.squeeze(1).to(torch.uint8)


def _relight(images: Tensor, draws: Draws) -> Tensor:
    """Contrast about each picture's mean, then brightness, cut to 0 to 255."""
    contrast, brightness = (
        torch.from_numpy(values).to(images.device).view(-1, 1, 1, 1) for values in (draws.contrast, draws.brightness)
    )
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + 255 * brightness).clamp(0, 255)


def _inverse_maps(draws: Draws, height: int, width: int) -> np.ndarray:
    """Affine maps from output to input coordinates in -1 to 1, ``float32 (N, 2, 3)``.

    An output point is moved back, turned back about the centre in pixels (not in shares of unequal sides), and
    mirrored back.
    """
    radians = np.deg2rad(draws.angle)
    cos, sin, aspect = np.cos(radians), np.sin(radians), height / width
    # In pixels with y down, turning the content counter-clockwise means reading clockwise.
    linear = np.stack([np.stack([cos, -sin * aspect], -1), np.stack([sin / aspect, cos], -1)], 1)
    shift = np.stack([2 * draws.shift_x, 2 * draws.shift_y], -1)[..., None]
    flip = np.stack([draws.flip_x, draws.flip_y], -1)[..., None]
    return (flip * np.concatenate([linear, -linear @ shift], -1)).astype(np.float32)
