"""Cut the foreground out: transparency from the probabilities, colours without the old background.

A pixel I at an edge mixes foreground F and background B: I = αF + (1 − α)B. To leave its colour as it is would keep a
halo of the old background. F is estimated from colours nearby that are certainly foreground or background, then
corrected so that the equation holds better (Forte, "Approximate Fast Foreground Colour Estimation", 2021, equation 4).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SIDE = 512  # of the reduced image that certain colours are taken from
UNCERTAIN = 1 / 80  # of the longer side: how far from the mask's edge a pixel may be partly transparent
STRIP = 64  # lines


def cutout(image: Image.Image, probabilities: np.ndarray, threshold: float) -> Image.Image:
    """Mode RGBA, the size of ``image`` (mode RGB), of foreground ``probabilities`` ``float32 (h, w)``; a new image.

    Near the edge of the mask the opacity follows the probability; farther away it is 0 or 1.
    """
    result = image.copy()
    cut_out(result, probabilities, threshold)
    return result


def cut_out(image: Image.Image, probabilities: np.ndarray, threshold: float) -> None:
    """Do the same in place."""
    around = _Surroundings.of(image, probabilities, threshold)
    image.putalpha(255)
    for top in range(0, image.height, STRIP):  # a large image leaves no memory for several of its size
        bottom = min(top + STRIP, image.height)
        pixels = np.asarray(image.crop((0, top, image.width, bottom)))[..., :3]
        opacity = around.opacity(probabilities[top:bottom], threshold, top)
        colours = around.foreground(pixels, opacity, top)
        image.paste(Image.fromarray(np.dstack([colours, opacity])), (0, top))


@dataclass(frozen=True)
class _Surroundings:
    """At reduced size: what is certain (mode L: 255 inside, 0 outside, 128 between), and the nearest colours of certain
    foreground and background, mode RGB."""

    certain: Image.Image
    inside: Image.Image
    outside: Image.Image
    height: int  # of the whole image

    @classmethod
    def of(cls, image: Image.Image, probabilities: np.ndarray, threshold: float) -> "_Surroundings":
        scale = min(1.0, SIDE / max(image.size))
        width, height = (max(1, round(side * scale)) for side in image.size)
        kernel = 2 * max(1, round(max(width, height) * UNCERTAIN)) + 1
        share, reduced = _reduced(probabilities, threshold, (height, width))
        inside, outside = (_eroded(region, kernel) for region in (share, 1 - share))
        certain = (128 + 127 * (inside - outside)).round()
        colours = _tensor(image.resize((width, height), Image.Resampling.BOX))
        opacity = torch.from_numpy(_soft(reduced.numpy(), threshold))
        nearest = _nearest(colours, opacity, inside, kernel), _nearest(colours, 1 - opacity, outside, kernel)
        return cls(*map(_image, (certain, *nearest)), image.height)

    def opacity(self, probabilities: np.ndarray, threshold: float, top: int) -> np.ndarray:
        """255 α of a strip, ``uint8 (h, w)``."""
        certain = self._strip(self.certain, *probabilities.shape, top)
        soft = np.rint(255 * _soft(probabilities, threshold))
        return np.where(certain == 255, 255, np.where(certain <= 1, 0, soft)).astype(np.uint8)

    def foreground(self, pixels: np.ndarray, opacity: np.ndarray, top: int) -> np.ndarray:
        """F of a strip ``uint8 (h, w, 3)``; where it is opaque, its own pixels, and black where it is transparent."""
        inside, outside = (self._strip(each, *opacity.shape, top) for each in (self.inside, self.outside))
        mixed = (opacity > 0) & (opacity < 255)
        alpha = opacity[mixed][:, None] / np.float32(255)
        near, far, seen = (values[mixed].astype(np.float32) for values in (inside, outside, pixels))
        colours = np.where(opacity[..., None] > 0, pixels, 0)
        corrected = near + alpha * (seen - alpha * near - (1 - alpha) * far)
        colours[mixed] = np.rint(corrected.clip(0, 255)).astype(np.uint8)
        return colours

    def _strip(self, reduced: Image.Image, height: int, width: int, top: int) -> np.ndarray:
        scale = reduced.height / self.height
        box = (0, top * scale, reduced.width, min((top + height) * scale, reduced.height))
        return np.asarray(reduced.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _soft(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Opacity near the edge: 0 up to half of the threshold, 1 from half of the way between it and 1."""
    return np.interp(probabilities, (0.0, threshold / 2, (1 + threshold) / 2, 1.0), (0, 0, 1, 1)).astype(np.float32)


def _reduced(probabilities: np.ndarray, threshold: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The mask's share of each cell, and the mean probability there, ``(1, 1, h, w)``."""
    bands, height = [], len(probabilities)
    for line in range(size[0]):  # the whole mask as floats would be large
        band = probabilities[line * height // size[0] : -(-(line + 1) * height // size[0])]
        both = torch.from_numpy(np.stack([band >= threshold, band]).astype(np.float32))
        bands.append(F.adaptive_avg_pool2d(both, (1, size[1])))
    share, mean = torch.cat(bands, dim=1)
    return share[None, None], mean[None, None]


def _eroded(region: Tensor, kernel: int) -> Tensor:
    """1 where all of ``region`` ``(1, 1, h, w)`` within the square kernel is 1, else 0."""
    return (_greatest(-region, kernel) < -0.999).float()


def _greatest(values: Tensor, kernel: int) -> Tensor:
    return F.max_pool2d(values, kernel, stride=1, padding=kernel // 2)


def _nearest(colours: Tensor, share: Tensor, certain: Tensor, kernel: int) -> Tensor:
    """The nearest colours of a region, ``(1, 3, h, w)``, of which each pixel shows ``share`` ``(1, 1, h, w)``.

    They are those where the region is ``certain``. What is too thin to be certain anywhere, such as a tail, has the
    mean colour of its clearest pixels nearby.
    """
    thin = (share > 0.5) & (_greatest(certain, kernel + 4) == 0)
    weight = share**8
    sums = (F.avg_pool2d(each, kernel, stride=1, padding=kernel // 2) for each in (colours * weight, weight))
    clearest = torch.div(*sums).nan_to_num()
    return _spread(torch.where(certain > 0, colours, clearest), torch.maximum(certain, thin.float()))


def _spread(colours: Tensor, region: Tensor) -> Tensor:
    """``colours`` ``(1, 3, h, w)`` in the region ``(1, 1, h, w)``, and outside of it those nearby, by the averages of
    coarser and coarser cells (Gortler et al., "The Lumigraph", 1996, section 3.4)."""
    if min(colours.shape[-2:]) == 1:
        weight = region.sum()
        mean = (colours * region).sum((2, 3), keepdim=True) / weight if weight else colours.mean((2, 3), keepdim=True)
        return torch.where(region > 0, colours, mean)
    size = colours.shape[-2:]
    known = F.avg_pool2d(region, 2, ceil_mode=True)
    means = F.avg_pool2d(colours * region, 2, ceil_mode=True) / known.clamp(min=1e-6)
    coarse = _spread(means, (known > 0).float())
    smooth = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return torch.where(region > 0, colours, smooth)


def _tensor(image: Image.Image) -> Tensor:
    """``float32 (1, bands, h, w)``."""
    return torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1)[None].float()


def _image(values: Tensor) -> Image.Image:
    pixels = values[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
