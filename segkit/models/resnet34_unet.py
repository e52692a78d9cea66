"""U-Net with a ResNet34 encoder, with a 1-channel head."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet34

from segkit.models.blocks import crop, double_conv, initialise, pad_to_multiple
from segkit.models.pretrained import Start

DECODER_CHANNELS = 32


class Up(nn.Module):
    """One decoder step: concatenate, 2×2 transposed convolution, two 3×3 convolutions with batch norm."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, DECODER_CHANNELS, 2, stride=2)
        self.conv = double_conv(DECODER_CHANNELS, DECODER_CHANNELS, norm="batch")
        initialise(self)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """``(N, C1, H, W)`` and ``(N, C2, H, W)`` to ``(N, 32, 2H, 2W)``."""
        return self.conv(self.up(torch.cat([below, skip], dim=1)))


class ResNet34UNet(nn.Module):
    """ResNet34 (He et al., 2015) as encoder, a narrow U-Net decoder of 32 channels.

    The trunk is torchvision's, so that its ImageNet weights fit. After the head there is neither batch
    normalisation nor ReLU: a ReLU would cut the negative logits and stall the loss. Any height and width from 32 up
    work; sizes that are not multiples of 32 are padded internally.

    Parameters: 21,827,073, of which the encoder has 21,284,672.
    """

    stride = 32
    started_from: bool | dict[str, str] = False  # Start.record, once load_encoder was called

    def __init__(self, bridge: int = 256) -> None:
        super().__init__()
        self._take_encoder(resnet34(weights=None))
        self.bridge = nn.Sequential(
            nn.Conv2d(512, bridge, 1, bias=False), nn.BatchNorm2d(bridge), nn.ReLU(inplace=True)
        )
        self.widen = nn.Conv2d(256, 512, 1)
        self.decoder = nn.ModuleList([Up(bridge + 512), Up(32 + 512), Up(32 + 128), Up(32 + 64)])
        self.last_up = nn.ConvTranspose2d(DECODER_CHANNELS, DECODER_CHANNELS, 2, stride=2)
        self.head = nn.Conv2d(DECODER_CHANNELS, 1, 1)
        for module in (self.bridge, self.widen, self.last_up, self.head):
            initialise(module)

    def load_encoder(self, start: Start) -> None:
        """Start the encoder from weights that were trained elsewhere."""
        self._take_encoder(start.trunk)
        self.started_from = start.record

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """What ``load_encoder`` replaces: the parameters that may get a learning rate of their own."""
        yield from self.stem.parameters()
        yield from self.stages.parameters()

    def _take_encoder(self, trunk: ResNet) -> None:
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool)
        self.stages = nn.ModuleList([trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4])

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images ``(N, 3, H, W)`` to foreground logits ``(N, 1, H, W)``."""
        height, width = images.shape[-2:]
        x = self.stem(pad_to_multiple(images, self.stride))
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        quarter, eighth, sixteenth, thirtysecond = skips
        x = self.bridge(thirtysecond)
        for up, skip in zip(self.decoder, (thirtysecond, self.widen(sixteenth), eighth, quarter), strict=True):
            x = up(x, skip)
        return crop(self.head(self.last_up(x)), height, width)


Network = ResNet34UNet  # the class that segkit.models.build uses
