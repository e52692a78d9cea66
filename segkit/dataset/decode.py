"""Decode one frame of an untrusted file in bounded time and memory, or say why it cannot be used."""

import errno
import logging
import math
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from segkit.base.errors import brief

# Pillow opens forty more formats, some of which start another program (EPS) or have no limits.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
JPEG = ("JPEG", "MPO")  # MPO: several JPEGs in one file, as phones write them
# 11,585 x 11,585: 512 MiB as RGB, which Pillow keeps in four bytes a pixel, per worker.
MAX_PIXELS = 2**27
# Pillow refuses twice this number, also where the second frame of a GIF enlarges the image.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Each scan of a progressive JPEG passes over all pixels. There are ten or so; a small file can hold 100,000.
MAX_SCANS = 100
SCAN = b"\xff\xda\x00"  # the marker and the upper byte of its length, which never occur within the coded pixels
# Pillow appends each EXIF segment of a JPEG to those before, in quadratic time. A camera writes one or two.
MAX_EXIF = 100
EXIF = b"Exif\0\0"
MAX_PAGES = 2000
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow's warnings about odd metadata and large images would add lines to a stage's output; unusable files are refused
# here. Set once, because filters are shared by all threads.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class UnusableFile(Exception):
    """An image or mask that cannot be used; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame as stored. ``size`` (width, height) is the file's, which may be larger than the image's; ``turn``
    makes it upright."""

    image: Image.Image
    size: tuple[int, int]
    turn: Image.Transpose | None

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height when upright."""
        return self.size[::-1] if _is_sideways(self.turn) else self.size

    def upright(self) -> Image.Image:
        """The image, upright."""
        return self.image if self.turn is None else self.image.transpose(self.turn)


def decode(
    path: Path,
    check: Callable[[Image.Image], None] = lambda image: None,
    at_least: tuple[int, int] | None = None,
    page: int = 0,
) -> Frame:
    """Decode the file's frame ``page``; its format is read from its bytes, not from its name.

    ``check`` sees the opened image before its pixels are decoded, and may raise. ``at_least``: a width and height,
    upright, that are enough; a JPEG is then decoded at a half, a quarter or an eighth of its size, if that is no
    smaller. Raises UnusableFile.
    """
    with opened(path, page) as image:
        _check_pixels(image)  # of this page
        size = image.size
        if "progressive" in image.info and _count(path, SCAN) > MAX_SCANS:
            raise UnusableFile(f"a JPEG of more than {MAX_SCANS} scans")
        check(image)
        if image.format == "PNG":
            _check_sums(path)
        with guarded():
            image.filename = ""  # else Pillow maps the file, and mixes up the pixels of a sideways TIFF
            if at_least is not None and image.format in JPEG:
                image.draft(None, at_least[::-1] if _is_sideways(_turn(image)) else at_least)
            image.load()
            return Frame(image, size, _turn(image))  # read again, for Pillow turns a TIFF as it loads


@contextmanager
def opened(path: Path, page: int = 0) -> Iterator[Image.Image]:
    """The file's frame ``page``, not yet decoded; raises UnusableFile."""
    _check_file(path)
    if _count(path, EXIF) > MAX_EXIF:
        raise UnusableFile(f"more than {MAX_EXIF} EXIF segments")
    with guarded():
        image = Image.open(path, formats=FORMATS)
    with image:
        _check_pixels(image)
        if page and not has_page(image, page):
            raise UnusableFile(f"no page {page + 1}")
        yield image


def count_pages(path: Path) -> int:
    """Pages of a TIFF or frames of a GIF, PNG or WebP; 1 for a JPEG, whose further frames are previews. Raises
    UnusableFile for more than ``MAX_PAGES``: Pillow finds each by reading all before it."""
    with opened(path) as image:
        if image.format in JPEG:
            return 1
        for page in range(1, MAX_PAGES + 1):
            if not has_page(image, page):
                return page
    raise UnusableFile(f"more than {MAX_PAGES:,} pages")


def has_page(image: Image.Image, page: int) -> bool:
    """Whether an opened file has a frame ``page``, which it then shows. ``n_frames`` would read every frame."""
    with guarded():
        try:
            image.seek(page)
        except EOFError:
            return False
        return True


@contextmanager
def guarded() -> Iterator[None]:
    """Around calls of Pillow on a file's bytes: what it raises about damaged bytes becomes UnusableFile.

    Running out of file handles is not the file's fault and stays an OSError.
    """
    try:
        yield
    except UnidentifiedImageError:
        raise UnusableFile(f"not one of {', '.join(FORMATS)}, or damaged") from None
    except Image.DecompressionBombError:
        raise UnusableFile(f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise UnusableFile("cannot be decoded: memory ran out") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        kind = "" if isinstance(error, OSError | ValueError | SyntaxError) else f"{type(error).__name__}: "
        raise UnusableFile(f"cannot be decoded: {kind}{brief(error, 200)}") from None


def _check_file(path: Path) -> None:
    """Refuse what is not a regular, non-empty file: opening a named pipe would block."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UnusableFile("no such file") from None
    except OSError as error:
        raise UnusableFile(f"cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFile("not a regular file")
    if not status.st_size:
        raise UnusableFile("the file is empty")


def _check_pixels(image: Image.Image) -> None:
    if math.prod(image.size) > MAX_PIXELS or _tile_pixels(image) > MAX_PIXELS:
        raise UnusableFile(f"more than {MAX_PIXELS:,} pixels")


def _tile_pixels(image: Image.Image) -> int:
    """Pixels of one tile of a TIFF, which may claim to be larger than the image; 0 without tiles."""
    tags = getattr(image, "tag_v2", {})
    sides = [tags.get(side, 0) for side in (322, 323)]  # TileWidth, TileLength
    return math.prod(sides) if all(isinstance(side, int) for side in sides) else 0


def _check_sums(path: Path) -> None:
    """Refuse a PNG with wrong checksums: decoding stops at the last pixel, before the final one."""
    with guarded(), Image.open(path, formats=("PNG",)) as image:
        image.verify()


def _count(path: Path, marker: bytes) -> int:
    """How often ``marker`` occurs in a file, except for those split between two chunks."""
    with open(path, "rb", buffering=0) as file:
        return sum(piece.count(marker) for piece in iter(lambda: file.read(2**20), b""))


def _turn(image: Image.Image) -> Image.Transpose | None:
    return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))


def _is_sideways(turn: Image.Transpose | None) -> bool:
    """Whether width and height are swapped."""
    return turn in (TURNS[5], TURNS[6], TURNS[7], TURNS[8])
