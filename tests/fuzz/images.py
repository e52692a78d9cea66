"""Any bytes as a picture, as a mask or as both.

The first byte of an input is a sum of the flags below, the rest a file. The other file of the pair is made to fit.
"""

import io
import struct
import zlib
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from segkit.dataset import decode as decoding
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import UnusableFile, decode
from segkit.dataset.pictures import Reading, Trimaps, read_pair, resolve_border
from tests.fuzz.target import Target

MASK, BOTH, REDUCED, UNSEALED = 1, 2, 4, 8
BORDERS = ("foreground", "background", "ignore")
PNG = b"\x89PNG\r\n\x1a\n"

# Nearly every input that claims a large size would be a blank picture that takes seconds; the check is the same.
FEWER_PIXELS = patch.object(decoding, "MAX_PIXELS", 2**20)

NOISE = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE)
TRIMAP = Image.fromarray(NOISE[..., 0] % 3 + 1)


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, image_format, **options)  # Pillow leaves a format's settings in what it saves
    return buffer.getvalue()


def _two() -> dict:
    """Options for a second frame."""
    return {"save_all": True, "append_images": [PICTURE.rotate(180)]}


def _pictures() -> list[bytes]:
    turned = Image.Exif()
    turned[0x0112] = 6
    palette, grey = PICTURE.quantize(8), PICTURE.convert("L")
    return [
        encoded(PICTURE, "JPEG", exif=turned),
        encoded(PICTURE, "JPEG", progressive=True),
        encoded(PICTURE.convert("CMYK"), "JPEG"),
        encoded(PICTURE, "MPO", **_two()),
        encoded(PICTURE, "PNG", exif=turned),
        encoded(palette, "PNG", transparency=b"\0\x80"),
        encoded(PICTURE.convert("LA"), "PNG"),
        encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "PNG", transparency=5),
        encoded(PICTURE, "PNG", **_two()),
        encoded(palette, "GIF", **_two()),
        encoded(palette, "GIF", transparency=3, interlace=1),
        encoded(palette, "BMP"),
        encoded(PICTURE.convert("RGBA"), "BMP"),
        encoded(PICTURE, "TIFF", tiffinfo={0x0112: 6}),
        encoded(PICTURE.convert("F"), "TIFF", compression="tiff_lzw"),
        encoded(PICTURE.convert("CMYK"), "TIFF", compression="tiff_adobe_deflate"),
        encoded(PICTURE, "TIFF", compression="jpeg"),
        encoded(PICTURE, "TIFF", **_two()),
        encoded(PICTURE, "WEBP", exif=turned),
        encoded(PICTURE.convert("RGBA"), "WEBP", lossless=True),
        encoded(PICTURE, "WEBP", **_two()),
        encoded(grey, "PPM"),
        b"P3\n9 9\n255\n" + b" 1 2 3" * 81,
        b"Pf\n9 9\n-1.0\n" + np.linspace(0, 1, 81, dtype="<f4").tobytes(),
    ]


def _masks() -> list[bytes]:
    palette = TRIMAP.convert("P")
    return [
        *(encoded(TRIMAP, image_format) for image_format in ("PNG", "BMP", "TIFF", "PPM")),
        *(encoded(palette, image_format) for image_format in ("PNG", "GIF", "BMP", "TIFF")),
        encoded(TRIMAP.convert("RGB"), "WEBP", lossless=True),
        encoded(TRIMAP.convert("I"), "TIFF", compression="packbits"),
        encoded(TRIMAP.convert("F"), "TIFF"),
        encoded(TRIMAP.convert("LA"), "PNG"),
        encoded(TRIMAP.point(lambda value: 255 * (value > 1)).convert("1"), "TIFF", compression="group4"),
        b"P2\n16 12\n3\n" + b" ".join(b"%d" % value for value in np.asarray(TRIMAP).flat),
    ]


def _seeds() -> list[bytes]:
    pictures, masks = _pictures(), _masks()
    return [
        *(bytes([16 * number % 48]) + content for number, content in enumerate(pictures)),
        *(bytes([REDUCED]) + content for content in pictures[:4]),
        *(bytes([MASK + 16 * number % 48]) + content for number, content in enumerate(masks)),
        *(bytes([BOTH]) + content for content in masks[:6]),
        bytes([UNSEALED]) + pictures[4],
    ]


def sealed(content: bytes) -> bytes:
    """A PNG whose check sums are right again; anything else as it is."""
    if not content.startswith(PNG):
        return content
    data, at = bytearray(content), len(PNG)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(data)


@FEWER_PIXELS
def _run(content: bytes, folder: Path) -> None:
    flags = content[0] if content else 0
    fuzzed, made = folder / "fuzzed", folder / "made"
    fuzzed.write_bytes(content[1:] if flags & UNSEALED else sealed(content[1:]))
    if not flags & BOTH:
        Image.new("L", decode(fuzzed).upright_size, 1).save(made, "PPM")
    picture, mask = {MASK: (made, fuzzed), BOTH: (fuzzed, fuzzed), 0: (fuzzed, made)}.get(flags & 3, (fuzzed, fuzzed))
    reading = Reading(Trimaps(), BORDERS[(flags >> 4) % 3], (0, 1000))
    image, labels = read_pair(Sample("x", "test", "", picture, (mask,)), reading, (4, 4) if flags & REDUCED else None)
    values = resolve_border(labels, reading.border)
    assert image.mode == "RGB" and (flags & REDUCED or image.size == values.shape[::-1])
    assert image.width >= min(4, values.shape[1]) and image.height >= min(4, values.shape[0])
    assert values.dtype == np.uint8 and set(np.unique(values)) <= {0, 1, 255}


WORDS = (
    *("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "eXIf", "acTL", "fcTL", "fdAT", "iCCP", "zTXt", "iTXt", "sBIT", "gAMA"),
    *("Exif\0\0", "II*\0", "MM\0*", "II+\0", "RIFF", "WEBP", "VP8 ", "VP8L", "VP8X", "ANIM", "ANMF", "ALPH", "EXIF"),
    *("GIF87a", "GIF89a", "NETSCAPE2.0", "JFIF", "Adobe", "MPF\0", "P1\n", "P5\n", "P6\n", "P7\n", "PF\n", "TUPLTYPE "),
)
TARGET = Target(_seeds, _run, UnusableFile, longest=400, max_len=3000, memory=1024, words=WORDS)
