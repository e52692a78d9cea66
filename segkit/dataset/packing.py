"""One sample as rows of the packed arrays, with what is measured on the way."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from segkit.base.packed import FOREGROUND, IGNORED
from segkit.base.params import Preprocess
from segkit.base.prefetch import bounded_map
from segkit.base.progress import bar
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import UnusableFile
from segkit.dataset.geometry import Window, rows, windows
from segkit.dataset.pictures import Reading, read_pair, resolve_border

PRECEDENCE = ("test", "valid", "train")  # the order of packing; of two splits with the same image the first keeps it
CHUNK = 8
FRAME = 4  # pixels
POWERS = np.stack([np.arange(256), np.arange(256) ** 2])


@dataclass
class Packed:
    """The result for one sample, or why it is left out (``fault``) and which key of ``preprocess`` decides whether that
    is an error.

    ``images`` and ``masks``: the bytes of its rows, one per window. ``sums`` ``int64 (2, 3)``: sum and sum of squares
    of each channel over ``pixels`` pixels. ``foreground`` and ``counted``: pixels of the rows. ``share``: the fraction
    of foreground at the original size, ``edge`` along the image's edge, and ``inside`` along a line ``FRAME`` pixels
    further in. ``best``: the Dice of the packed mask,
    scaled back, with the original.
    """

    sample: Sample
    width: int = 0
    height: int = 0
    windows: list[Window] = field(default_factory=list)
    images: bytes = b""
    masks: bytes = b""
    sums: np.ndarray | None = None
    pixels: int = 0
    foreground: int = 0
    counted: int = 0
    share: float = 0.0
    edge: float = 0.0
    inside: float = 0.0
    best: float | None = None
    vanished: bool = False
    original_mask: bytes = b""  # test set: the mask at its own size, where 2 is border, as a PNG file
    fault: str | None = None
    key: str = "on_bad"

    def rows(self, size: tuple[int, int]) -> np.ndarray:
        """The images, ``uint8 (n, H, W, 3)`` of this ``size``."""
        return np.frombuffer(self.images, np.uint8).reshape(-1, *size, 3)

    def original_labels(self) -> np.ndarray:
        """Of the test set, the mask at its own size, ``uint8 (h, w)`` of 0, 1, 2 (border), 255."""
        with Image.open(io.BytesIO(self.original_mask), formats=("PNG",)) as mask:
            return np.array(mask)  # a copy, which torch can take as it is

    def release(self) -> None:
        """Forget the pixels."""
        self.images = self.masks = self.original_mask = b""


def pack(samples: list[Sample], reading: Reading, options: Preprocess, workers: int) -> Iterator[Packed]:
    """Pack all samples, in the order of ``PRECEDENCE``; with ``workers`` threads, and constant memory."""
    ordered = [sample for split in PRECEDENCE for sample in samples if sample.split == split]
    length = 1 if options.resize == "tile" else CHUNK  # an image's windows take the memory of the whole image
    chunks = (ordered[start : start + length] for start in range(0, len(ordered), length))
    with bar(label="preprocess", total=len(ordered), unit="img") as progress:
        for results in bounded_map(partial(_pack_chunk, reading=reading, options=options), chunks, workers):
            yield from results
            progress.update(len(results))


def _pack_chunk(samples: list[Sample], reading: Reading, options: Preprocess) -> list[Packed]:
    return [pack_sample(sample, reading, options) for sample in samples]


def pack_sample(sample: Sample, reading: Reading, options: Preprocess) -> Packed:
    """Decode, resize and measure one sample."""
    height, width = options.size
    try:
        image, labels = read_pair(sample, reading, None if options.resize == "tile" else options.size)
        mask = resolve_border(labels, reading.border)
    except UnusableFile as fault:
        return Packed(sample, fault=str(fault))
    if all(low == high for low, high in image.getextrema()):
        return Packed(sample, fault="image: all its pixels have the same colour")
    truth = mask == FOREGROUND
    has_foreground, shown = truth.any(), mask.size - np.count_nonzero(mask == IGNORED)
    if not shown:
        return Packed(sample, fault="every pixel of the mask is ignored")
    if options.on_empty != "keep" and not has_foreground:
        return Packed(sample, fault="the mask has no foreground", key="on_empty")
    boxes = windows(mask.shape[1], mask.shape[0], options.size, options.resize)
    images, masks = rows(image, mask, boxes, options.size)
    foreground = int(np.count_nonzero(masks == FOREGROUND))
    vanished = bool(has_foreground and not foreground)
    if options.on_empty != "keep" and vanished:
        fault = f"its foreground vanishes at {width}x{height} px"
        return Packed(sample, fault=fault, key="on_empty", vanished=True)
    return Packed(
        sample,
        mask.shape[1],
        mask.shape[0],
        windows=boxes,
        images=images.tobytes(),
        masks=masks.tobytes(),
        sums=sum(_sums(row, box) for row, box in zip(images, boxes, strict=True)),
        pixels=sum(box.content_height * box.content_width for box in boxes),
        foreground=foreground,
        counted=int(np.count_nonzero(masks != IGNORED)),
        share=float(np.count_nonzero(truth) / shown),
        edge=_edge_share(mask),
        inside=_edge_share(mask[FRAME:-FRAME, FRAME:-FRAME]) if min(mask.shape) > 4 * FRAME else 1.0,
        best=_best_dice(masks[0], truth, mask, boxes[0]) if has_foreground and options.resize != "tile" else None,
        vanished=vanished,
        original_mask=_as_png(labels) if sample.split == "test" else b"",
    )


def _sums(row: np.ndarray, box: Window) -> np.ndarray:
    content = Image.fromarray(row[: box.content_height, : box.content_width])
    return POWERS @ np.reshape(content.histogram(), (3, 256)).T


def _edge_share(mask: np.ndarray) -> float:
    """The fraction of foreground among the pixels of the first and last rows and columns that are not ignored."""
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float(np.count_nonzero(edge == FOREGROUND) / max(1, np.count_nonzero(edge != IGNORED)))


def _best_dice(packed: np.ndarray, truth: np.ndarray, mask: np.ndarray, box: Window) -> float:
    """The Dice that a network would have at the original size if it predicted the packed mask."""
    content = (packed[: box.content_height, : box.content_width] == FOREGROUND).astype(np.uint8)
    scaled = Image.fromarray(content * 255).resize(mask.shape[::-1], Image.Resampling.BILINEAR)
    predicted = (np.asarray(scaled) >= 128) & (mask != IGNORED)
    overlap, total = np.count_nonzero(truth & predicted), np.count_nonzero(truth) + np.count_nonzero(predicted)
    return float(2 * overlap / total)


def _as_png(mask: np.ndarray) -> bytes:
    """A mask ``uint8 (h, w)`` as a PNG file; equal masks give equal bytes."""
    content = io.BytesIO()
    Image.fromarray(mask).save(content, format="PNG", compress_level=1)
    return content.getvalue()
