"""A trained network in use: an image of any size in, a mask and probabilities at that size out.

import segkit
model = segkit.load("models/resnet34_unet.safetensors")
mask, probabilities = model.predict("photo.jpg")
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from segkit.base.errors import InputError, brief
from segkit.dataset.decode import UnusableFile, guarded
from segkit.dataset.geometry import Window, image_row, windows
from segkit.dataset.pictures import full_range, read_image, to_rgb
from segkit.evaluation.stitching import Row, at_original_size
from segkit.inference.networks import Network, open_network
from segkit.models import heads
from segkit.models.predictor import flips, mean_over_flips

# Rows that the network computes at once: no more at 256 px, since larger batches are no faster on a CPU, and a U-Net
# takes 100 MB a row in each worker.
BATCH_PIXELS, MOST_ROWS = 2 * 256 * 256, 32
Picture = str | Path | Image.Image | np.ndarray


class Prediction(NamedTuple):
    """``mask`` ``bool (h, w)`` and foreground ``probabilities`` ``float32 (h, w)``, at the image's own size."""

    mask: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Opened:
    """An image, upright, and the rows that the network sees of it.

    ``image``: RGB, at the network's scale if it is only one row. ``width``, ``height``: its full size.
    """

    image: Image.Image
    width: int
    height: int
    boxes: list[Window]

    @property
    def rows(self) -> list[Row]:
        """The boxes as lines of ``samples.csv`` (see ``segkit.base.packed``)."""
        return [vars(box) | {"width": self.width, "height": self.height} for box in self.boxes]


def load(
    path: str | Path,
    device: str = "auto",
    precision: str = "fp32",
    *,
    threads: int | None = None,
    scale: Sequence[float] | None = None,
    tile: bool = False,
    tta: bool | None = None,
) -> "Model":
    """Open a checkpoint or an ONNX file for prediction.

    ``device``: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. ``precision``: ``fp32`` (as in evaluation), ``bf16``
    or ``auto``. ``threads``: of ONNX Runtime; None: one per core. ``scale``: see ``Model``; None: as in training.
    ``tile``: cut images into windows of the input size at their own resolution; else as in training. ``tta``: see
    ``Model``; None: as the model was evaluated. Raises InputError for a file that is missing, damaged or of another
    program.
    """
    network = open_network(Path(path), device, precision, threads)
    trained = network.metadata
    resize = "tile" if tile else trained.get("resize", "stretch")
    return Model(
        network,
        _scale(trained.get("range") if scale is None else scale),
        resize,
        flips(trained) if tta is None else tta,
    )


def _scale(values: Sequence[float] | None) -> tuple[float, float] | None:
    """Two numbers, the first below the second by more than rounding; raises InputError for others."""
    if values is None:
        return None
    try:
        low, high = map(float, values)
        if 1e-30 < high - low < 1e30:
            return low, high
    except (TypeError, ValueError):
        pass
    raise InputError(f"range {brief(values)}: give the values of black and of white, such as 0 4095")


@dataclass(frozen=True)
class Model:
    """A network and how its input is made.

    ``scale``: the values of images of more than 8 bits that become black and white; None: the whole range of 16 bits.
    ``resize``: as ``preprocess.resize``. ``tta``: test-time augmentation, the mean over the image and its mirror image.
    """

    network: Network
    scale: tuple[float, float] | None = None
    resize: str = "stretch"
    tta: bool = False

    @property
    def metadata(self) -> dict[str, Any]:
        """The checkpoint's metadata: ``model``, ``input_size``, ``threshold`` and so on."""
        return self.network.metadata

    @property
    def batch(self) -> int:
        """Rows that the network computes at once, unless told otherwise."""
        height, width = self.metadata["input_size"]
        return max(1, min(BATCH_PIXELS // (height * width), MOST_ROWS))

    def predict(self, image: Picture, *, threshold: float | None = None) -> Prediction:
        """Segment one image: a path, a PIL image, or an array ``uint8 (h, w)``, ``(h, w, 3)`` or ``(h, w, 4)``.

        A pixel is foreground from ``threshold`` on; None: the checkpoint's. A path gives what ``segkit predict``
        writes: large JPEGs are decoded at reduced scale, as in training. Raises InputError for an image that cannot be
        used.
        """
        try:
            opened = self.open(image)
        except UnusableFile as fault:
            name = f"{image}: " if isinstance(image, str | Path) else ""
            raise InputError(f"{name}{fault}") from None
        probabilities = self.assemble(opened, self.rows([opened]))
        return Prediction(self.mask(probabilities, threshold), probabilities.numpy())

    def open(self, image: Picture, check: Callable[[Image.Image], None] = lambda image: None) -> Opened:
        """Read an image and find its rows; ``check`` sees an opened file before it is decoded. Raises UnusableFile."""
        size = tuple(self.metadata["input_size"])
        if isinstance(image, str | Path):
            enough = None if self.resize == "tile" else size
            picture, (width, height) = read_image(Path(image), enough, self.scale, check)
        else:
            picture = _from_memory(image, self.scale)
            width, height = picture.size
        boxes = windows(width, height, size, self.resize)
        if len(boxes) == 1:
            picture = picture.resize((boxes[0].content_width, boxes[0].content_height), Image.Resampling.BILINEAR)
        return Opened(picture, width, height, boxes)

    def pixels(self, images: Iterable[Opened]) -> Iterator[np.ndarray]:
        """What the network sees, ``uint8 (H, W, 3)``, one row after another."""
        size = tuple(self.metadata["input_size"])
        return (image_row(each.image, box, size, len(each.boxes) == 1) for each in images for box in each.boxes)

    def rows(self, images: Sequence[Opened], batch: int | None = None) -> Iterator[Tensor]:
        """Probabilities ``float32 (H, W)`` of one row after another, on the CPU, predicted ``batch`` at a time."""
        pixels = self.pixels(images)
        while chunk := list(islice(pixels, batch or self.batch)):
            pictures = torch.from_numpy(np.stack(chunk))
            predict = self.network.probabilities
            yield from (mean_over_flips(predict, pictures) if self.tta else predict(pictures)).cpu()

    def assemble(self, image: Opened, rows: Iterable[Tensor]) -> Tensor:
        """Probabilities ``float32 (h, w)`` of an image, from the next of ``rows``, as in evaluation."""
        return at_original_size(islice(rows, len(image.boxes)), image.rows, tiled=len(image.boxes) > 1)

    def mask(self, probabilities: Tensor, threshold: float | None = None) -> np.ndarray:
        """``bool (h, w)``, true from ``threshold`` on; None: the checkpoint's."""
        return heads.predict(probabilities, self.metadata["threshold"] if threshold is None else threshold).numpy()


def _from_memory(image: Image.Image | np.ndarray, scale: tuple[float, float] | None) -> Image.Image:
    """RGB, upright; raises UnusableFile."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
            raise UnusableFile(
                f"an array of {image.dtype} {image.shape} is no image; give uint8 of (h, w), (h, w, 3) or (h, w, 4)"
            )
        image = Image.fromarray(image) if image.size else Image.new("L", (0, 0))
    if not isinstance(image, Image.Image):
        raise UnusableFile(f"{type(image).__name__} is no image; give a path, a PIL image or an array")
    if not all(image.size):
        raise UnusableFile("an image without pixels")
    with guarded():  # it may not be decoded yet
        upright = ImageOps.exif_transpose(image)
    return to_rgb(upright, scale or full_range(image))
