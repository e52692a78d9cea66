"""U-Net with a ResNet34 encoder, with a 1-channel head."""

import hashlib
import io
import socket
import sys
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, ResNet34_Weights, resnet34

from segkit.base.errors import InputError, brief
from segkit.models.blocks import crop, double_conv, initialise, load_weights, pad_to_multiple

DECODER_CHANNELS = 32
IMAGENET_URL = ResNet34_Weights.IMAGENET1K_V1.url
TIMEOUT = 30.0  # seconds without data from the server

_SETTING = "resnet34_unet.pretrained"
_WITHOUT = f"or set {_SETTING} to false"


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

    def __init__(self, bridge: int = 256) -> None:
        super().__init__()
        self._take_encoder(resnet34(weights=None))
        self.bridge = nn.Sequential(nn.Conv2d(512, bridge, 1, bias=False), nn.BatchNorm2d(bridge), nn.ReLU(inplace=True))
        self.widen = nn.Conv2d(256, 512, 1)
        self.decoder = nn.ModuleList([Up(bridge + 512), Up(32 + 512), Up(32 + 128), Up(32 + 64)])
        self.last_up = nn.ConvTranspose2d(DECODER_CHANNELS, DECODER_CHANNELS, 2, stride=2)
        self.head = nn.Conv2d(DECODER_CHANNELS, 1, 1)
        for module in (self.bridge, self.widen, self.last_up, self.head):
            initialise(module)

    def load_imagenet_encoder(self) -> None:
        """Put torchvision's ImageNet weights into the encoder, from torch's cache or downloaded into it.

        torchvision publishes them in pickle format alone: torch's restricted unpickler builds only tensors and plain
        containers, and the SHA-256 that begins with the digits in the file's name is compared at every load (torch.hub
        does so only after a download). Raises InputError if the file is not reachable, or damaged.
        """
        path = Path(torch.hub.get_dir(), "checkpoints", IMAGENET_URL.rsplit("/", 1)[-1])
        prefix = path.stem.rsplit("-", 1)[-1]
        if not path.is_file():
            _download(path, prefix)
        trunk, content = resnet34(weights=None), path.read_bytes()
        # Old files of torchvision count no batches, and nothing here uses the count.
        counts = {name: tensor for name, tensor in trunk.state_dict().items() if name.endswith("num_batches_tracked")}
        try:
            if not hashlib.sha256(content).hexdigest().startswith(prefix):
                raise ValueError(f"its SHA-256 does not begin with {prefix}")
            weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            load_weights(trunk, counts | weights)
        except Exception as error:  # what torch raises depends on which part of the file is damaged
            raise InputError(
                f"{_SETTING}: {path} is damaged ({brief(error, 300)}); delete it and run the same "
                f"command again, {_WITHOUT}"
            ) from None
        self._take_encoder(trunk)

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


def _download(path: Path, prefix: str) -> None:
    """Into torch's cache: atomically, and only with the right hash."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub sets none
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(IMAGENET_URL, str(path), prefix, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        raise InputError(
            f"{_SETTING}: ImageNet weights not available ({brief(error, 200) or repr(error)}); put the file from "
            f"{IMAGENET_URL} at {path}, {_WITHOUT}"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
