"""U-Net with a 2-channel head."""

import torch
from torch import Tensor, nn

from segkit.models.blocks import crop, double_conv, initialise, pad_to_multiple

LEVELS = 5


class UNet(nn.Module):
    """Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015.

    Five levels of ``width``·(1, 2, 4, 8, 16) channels. Unlike the paper's, its convolutions pad, so the
    output has the input's size. Any height and width from 16 up work; sizes that are not multiples of 16 are padded
    internally.

    Parameters at width 64: 31,031,810, with batch normalisation 31,037,698.
    """

    stride = 2 ** (LEVELS - 1)

    def __init__(self, width: int = 64, norm: str = "none") -> None:
        super().__init__()
        channels = [width * 2**level for level in range(LEVELS)]
        self.encoder = nn.ModuleList(
            double_conv(inputs, outputs, norm=norm) for inputs, outputs in zip([3, *channels], channels, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * outputs, outputs, 2, stride=2) for outputs in reversed(channels[:-1])
        )
        self.decoder = nn.ModuleList(
            double_conv(2 * outputs, outputs, norm=norm) for outputs in reversed(channels[:-1])
        )
        self.head = nn.Conv2d(width, 2, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images ``(N, 3, H, W)`` to logits ``(N, 2, H, W)``: background, foreground."""
        height, width = images.shape[-2:]
        x = pad_to_multiple(images, self.stride)
        skips = []
        for block in self.encoder[:-1]:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.encoder[-1](x)
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat([skips.pop(), up(x)], dim=1))
        return crop(self.head(x), height, width)


Network = UNet  # the class that segkit.models.build uses
