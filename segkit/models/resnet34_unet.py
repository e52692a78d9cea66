"""U-Net with a ResNet34 encoder, with a 1-channel head."""

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, ResNet34_Weights, resnet34

from segkit.errors import InputError
from segkit.models.blocks import UpConv, concatenate, double_conv, double_size, initialise, pad_to_multiple

DECODER_CHANNELS = 32


class Up(nn.Module):
    """One decoder step: concatenate, 2×2 transposed convolution, two 3×3 convolutions with batch norm."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.up = UpConv(inputs, DECODER_CHANNELS)
        self.conv = double_conv(DECODER_CHANNELS, DECODER_CHANNELS, batch_norm=True)
        initialise(self)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """``(N, C1, H, W)`` and ``(N, C2, H, W)`` to ``(N, 32, 2H, 2W)``."""
        return self.conv(self.up(concatenate(below, skip)))


class ResNet34UNet(nn.Module):
    """ResNet34 (He et al., 2015) as encoder, a narrow U-Net decoder of 32 channels.

    The trunk is torchvision's, so that its ImageNet weights fit. After the head there is neither batch
    normalisation nor ReLU: a ReLU would cut the negative logits and stall the loss. Any height and width from 32 up
    work; other than multiples of 32 are padded inside.

    Parameters: 21,827,073, of which the encoder has 21,284,672.
    """

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self._take_encoder(resnet34(weights=None))
        self.bridge = nn.Sequential(nn.Conv2d(512, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True))
        self.widen = nn.Conv2d(256, 512, 1)
        self.decoder = nn.ModuleList([Up(256 + 512), Up(32 + 512), Up(32 + 128), Up(32 + 64)])
        self.last_up = UpConv(DECODER_CHANNELS, DECODER_CHANNELS)
        self.head = nn.Conv2d(DECODER_CHANNELS, 1, 1)
        for module in (self.bridge, self.widen, self.last_up, self.head):
            initialise(module)

    def load_imagenet_encoder(self) -> None:
        """Put torchvision's ImageNet weights, from torch's cache or the network, into the encoder.

        Raises InputError where they are neither cached nor reachable, or damaged.
        """
        trunk = resnet34(weights=None)
        weights = ResNet34_Weights.IMAGENET1K_V1
        try:
            trunk.load_state_dict(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))
        except Exception as error:  # a damaged file in the cache makes torch raise nearly anything
            reason = " ".join(str(error).split())[:200] or repr(error)
            place = f"{torch.hub.get_dir()}/checkpoints/{weights.url.rsplit('/', 1)[-1]}"
            raise InputError(
                f"resnet34_unet.pretrained: ImageNet weights not available ({reason}); put the file from {weights.url} "
                f"at {place}, or set resnet34_unet.pretrained to false"
            ) from error
        self._take_encoder(trunk)

    def _take_encoder(self, trunk: ResNet) -> None:
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool)
        self.stages = nn.ModuleList([trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4])

    def forward(self, images: Tensor) -> Tensor:
        """Normalised pictures ``(N, 3, H, W)`` to foreground logits ``(N, 1, H, W)``."""
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
        return self._last_up_and_head(x)[..., :height, :width]

    def _last_up_and_head(self, x: Tensor) -> Tensor:
        """``head(last_up(x))`` in one: with nothing between the two, the product of their weights is the same
        function, and the 32 channels at full size are never made."""
        weight = (self.last_up.weight * self.head.weight).sum(1, keepdim=True)  # the head has one output channel
        bias = (self.last_up.bias * self.head.weight.flatten()).sum() + self.head.bias
        return double_size(x, weight, bias)
