"""Any bytes as the masks and the image of a user's own data.

The first byte of an input is a sum of the flags below, the second chooses settings, the rest is one file or, with
``TWO``, two files of equal length. What else the sample needs is made to fit.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.params import Folder
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import UnusableFile, decode
from segkit.dataset.packing import pack_sample
from segkit.dataset.survey import survey
from tests.fuzz.images import FEWER_PIXELS, NOISE, PICTURE, encoded, sealed
from tests.fuzz.target import Target
from tests.tiny import options, own_folder

IMAGE, TWO, COMPANION, PAGES, UNSEALED = 1, 2, 4, 8, 16
FOREGROUND = ("auto", "auto", "nonzero", (1,), (0,), (255,), ("#ff0000",), (1, 0.5, "#00ff00"))
IGNORED = ((), (2,), ("#000000",), (255,))
RESIZE = ("stretch", "fit", "tile")
OBJECT = np.hypot(*(np.mgrid[:12, :16] - np.array([6, 8]).reshape(2, 1, 1))) < 4


def _masks() -> list[bytes]:
    grey = Image.fromarray(np.uint8(255) * OBJECT)
    labels = Image.fromarray(OBJECT.astype(np.uint8))
    palette = labels.convert("P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    soft = grey.resize((64, 48)).resize((16, 12))
    void = Image.fromarray(np.where(NOISE[..., 0] < 20, 255, OBJECT).astype(np.uint8))
    colours = Image.merge("RGB", [grey, labels, labels])
    return [
        *(encoded(grey, image_format) for image_format in ("PNG", "BMP", "TIFF", "PPM", "GIF", "JPEG", "WEBP")),
        *(encoded(image, "PNG") for image in (labels, palette, soft, void, colours, grey.convert("1"))),
        *(encoded(grey.convert(mode), "PNG") for mode in ("RGB", "RGBA", "LA", "P")),
        *(encoded(labels.convert(mode), "TIFF") for mode in ("I", "F")),
        encoded(Image.fromarray(OBJECT.astype(np.uint16) * 65535), "PNG"),
        encoded(Image.fromarray(NOISE[..., 0]), "PNG"),
        encoded(Image.fromarray(OBJECT.astype(np.float32) - 0.5), "TIFF"),
        encoded(grey, "TIFF", save_all=True, append_images=[grey.rotate(180)]),
        encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(180)], transparency=1),
    ]


def _images() -> list[bytes]:
    wide = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 16)
    return [
        encoded(wide, "PNG"),
        encoded(wide, "TIFF", save_all=True, append_images=[wide.rotate(180)]),
        encoded(Image.fromarray(NOISE[..., 0].astype(np.float32) - 99), "TIFF"),
        encoded(PICTURE.convert("RGBA"), "TIFF"),
        encoded(PICTURE, "JPEG"),
    ]


def _seeds() -> list[bytes]:
    masks = _masks()
    choices = [bytes([0]), bytes([8 * 1]), bytes([8 * 2]), bytes([2]), bytes([3])]
    return [
        *(bytes([0]) + choices[number % len(choices)] + content for number, content in enumerate(masks)),
        *(bytes([COMPANION, 0]) + content for content in masks),
        *(bytes([PAGES, 0]) + content for content in masks[-2:]),
        *(bytes([IMAGE | pages, 0]) + content for content in _images() for pages in (0, PAGES)),
        bytes([TWO, 0]) + masks[7] + masks[7],
    ]


def _folder(flags: int, choice: int) -> Folder:
    return own_folder(
        Path("images"),
        Path("masks"),
        foreground=FOREGROUND[choice % 8],
        ignore=IGNORED[(choice >> 6) % 4],
        pages="all" if flags & PAGES else "first",
    )


@FEWER_PIXELS
def _run(content: bytes, folder: Path) -> None:
    flags, choice, content = content[0] if content else 0, content[1] if content[1:] else 0, content[2:]
    half = len(content) // 2
    pieces = [content[:half], content[half:]] if flags & TWO else [content]
    fuzzed = [folder / f"fuzzed{number}" for number in range(len(pieces))]
    for path, piece in zip(fuzzed, pieces, strict=True):
        path.write_bytes(piece if flags & UNSEALED else sealed(piece))
    try:
        size = decode(fuzzed[0]).upright_size
    except UnusableFile as fault:
        raise InputError(fault) from None
    grey = Image.fromarray(np.uint8(255) * OBJECT).resize(size)
    Image.merge("RGB", [grey, grey, grey.rotate(180)]).save(folder / "image", "PPM")
    grey.save(folder / "mask", "PPM")
    image, masks = (fuzzed[0], (folder / "mask",)) if flags & IMAGE else (folder / "image", tuple(fuzzed))
    samples = [Sample("fuzzed", "test", "", image, masks, trimap=False)]
    samples += [Sample("other", "test", "", folder / "image", (folder / "mask",), trimap=False)] * bool(
        flags & COMPANION
    )
    settings = options((16, 16), resize=RESIZE[(choice >> 3) % 3], on_empty="keep")
    look = survey(samples, settings, _folder(flags, choice), workers=1)
    packed = [pack_sample(sample, look.reading, settings) for sample in look.samples]
    for result in packed:
        if not result.fault:
            assert len(result.images) == 3 * len(result.masks) == 3 * 16 * 16 * len(result.windows)
            assert set(result.masks) <= {0, 1, 255} and 0 <= result.share <= 1 and 0 <= result.edge <= 1
            assert result.best is None or 0 <= result.best <= 1
    if faults := [result.fault for result in packed if result.fault]:
        raise InputError(faults[0])


WORDS = (
    "IHDR",
    "PLTE",
    "IDAT",
    "IEND",
    "tRNS",
    "eXIf",
    "II*\0",
    "MM\0*",
    "RIFF",
    "WEBP",
    "VP8L",
    "GIF89a",
    "P5\n",
    "Pf\n",
)
TARGET = Target(_seeds, _run, InputError, longest=1000, max_len=3000, memory=1024, words=WORDS)
