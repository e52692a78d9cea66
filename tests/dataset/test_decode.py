"""Files that are not images, or more than that: each is rejected with its reason, quickly, with little memory."""

import errno
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.dataset import decode as decoding
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import FORMATS, MAX_SCANS, UnusableFile, count_pages, decode
from segkit.dataset.pictures import Reading, Trimaps, read_pair
from tests.tiny import many

NOISE = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE)


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def reason(path) -> str:
    with pytest.raises(UnusableFile) as caught:
        decode(path)
    return str(caught.value)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")])


def tiff(**tags: tuple[int, int]) -> bytes:
    """A little-endian TIFF without pixels: a tag's number and its value, by any name."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.values()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)


def test_an_empty_file_and_one_that_is_no_picture(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("MATLAB 5.0 MAT-file")
    assert reason(tmp_path / "empty") == "the file is empty"
    assert reason(tmp_path / "text").startswith("not one of JPEG, PNG, GIF, BMP, ")
    assert reason(tmp_path / "gone") == "no such file"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path, image_format, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), image_format)
    (tmp_path / "x").write_bytes(whole[: int(share * len(whole))])
    assert reason(tmp_path / "x").startswith("cannot be decoded: ")


@pytest.mark.parametrize("bit", range(8))
def test_a_png_with_one_wrong_bit_among_its_pixels_is_refused(tmp_path, bit):
    """The decoder stops at the last pixel and never sees the sum behind it."""
    whole = encoded(Image.fromarray(NOISE[..., 0] % 3 + 1), "PNG")
    start, length = whole.index(b"IDAT") + 4, struct.unpack(">I", whole[whole.index(b"IDAT") - 4 :][:4])[0]
    for place in range(start, start + length):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << bit
        (tmp_path / "x.png").write_bytes(spoilt)
        assert reason(tmp_path / "x.png").startswith("cannot be decoded: ")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_refused_without_opening_it(tmp_path, make):
    make(tmp_path / "x")
    assert reason(tmp_path / "x") == "not a regular file"


def test_links_lead_to_files_or_nowhere(tmp_path):
    PICTURE.save(tmp_path / "x.png")
    for name, target in (("good", "x.png"), ("gone", "nothing"), ("loop", "loop")):
        (tmp_path / name).symlink_to(target)
    assert decode(tmp_path / "good").size == (16, 12)
    assert reason(tmp_path / "gone") == "no such file"
    assert reason(tmp_path / "loop").startswith("cannot be opened: ")


@pytest.mark.parametrize("image_format", ["ICO", "PCX", "TGA", "EPS", "JPEG2000"])
def test_formats_that_are_not_read_are_refused(tmp_path, image_format):
    (tmp_path / "x.jpg").write_bytes(encoded(PICTURE, image_format))
    assert "not one of JPEG, PNG, GIF" in reason(tmp_path / "x.jpg")


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_that_is_read_can_be(tmp_path, image_format):
    (tmp_path / "x").write_bytes(encoded(PICTURE, image_format))
    frame = decode(tmp_path / "x")
    assert (frame.size, frame.image.size, frame.turn) == ((16, 12), (16, 12), None)


@pytest.mark.parametrize("side", [11, 20])  # up to twice its own limit Pillow only warns
def test_more_pixels_than_the_limit_are_refused(tmp_path, monkeypatch, side):
    Image.new("L", (side, side)).save(tmp_path / "x.png")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
    assert reason(tmp_path / "x.png") == "more than 100 pixels"


@pytest.mark.parametrize(
    "content",
    [
        png(30_000, 30_000),
        tiff(width=(256, 30_000), height=(257, 30_000), strip=(273, 0)),
        tiff(width=(256, 64), height=(257, 64), tile_width=(322, 30_000), tile_height=(323, 30_000), tile=(324, 0)),
        encoded(PICTURE, "GIF")[:6] + b"\xff\xff\xff\xff" + encoded(PICTURE, "GIF")[10:],
    ],
    ids=["PNG", "TIFF", "a TIFF's tile", "GIF"],
)
def test_a_decompression_bomb_is_refused_by_what_it_claims(tmp_path, monkeypatch, content):
    (tmp_path / "x").write_bytes(content)
    monkeypatch.setattr(decoding.Image.Image, "load", lambda image: pytest.fail("decoded"))
    assert reason(tmp_path / "x") == "more than 134,217,728 pixels"


def test_a_second_frame_that_enlarges_the_image_beyond_the_limit_is_refused(tmp_path):
    whole = encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)])
    second = whole.rindex(b"\x21\xf9\x04") + 8  # behind the settings of the last frame: 2C, left, top, width, height
    assert whole[second : second + 1] == b"\x2c"
    for left, reason in ((0, None), (12000, "more than 134,217,728 pixels")):
        corner = struct.pack("<HH", left, left + left // 8)
        (tmp_path / "x").write_bytes(whole[: second + 1] + corner + whole[second + 5 :])
        if reason:
            with pytest.raises(UnusableFile, match=reason):
                count_pages(tmp_path / "x")
            assert decode(tmp_path / "x").size == (16, 12)  # the first frame is as it should be
        else:
            assert count_pages(tmp_path / "x") == 2


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_bomb_beside_the_pixels_is_refused(tmp_path, kind):
    pixels = zlib.compress(bytes(8 * 25))
    (tmp_path / "x").write_bytes(png(8, 8, chunk(kind, b"a\0\0" + zlib.compress(bytes(10**8))), chunk(b"IDAT", pixels)))
    assert reason(tmp_path / "x").startswith("cannot be decoded: ")
    (tmp_path / "x").write_bytes(png(8, 8, chunk(kind, b"a\0\0" + zlib.compress(bytes(10))), chunk(b"IDAT", pixels)))
    assert decode(tmp_path / "x").size == (8, 8)


@pytest.mark.parametrize(("more", "fits"), [(MAX_SCANS // 2, True), (MAX_SCANS, False)])
def test_a_progressive_jpeg_of_very_many_scans_is_refused(tmp_path, more, fits):
    whole = encoded(PICTURE.convert("L"), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    (tmp_path / "x").write_bytes(whole[:-2] + last_scan * more + whole[-2:])
    if fits:
        assert decode(tmp_path / "x").size == (16, 12)
    else:
        assert reason(tmp_path / "x") == "a JPEG of more than 100 scans"


def test_many_exif_segments_are_refused_before_pillow_joins_them(tmp_path):
    """In quadratic time: 40,000 of them took 92 seconds."""
    whole = encoded(PICTURE, "JPEG")
    segment = b"\xff\xe1\x03\xe8Exif\0\0" + bytes(992)
    (tmp_path / "x").write_bytes(whole[:2] + 5 * segment + whole[2:])
    assert decode(tmp_path / "x").size == (16, 12)
    (tmp_path / "x").write_bytes(whole[:2] + 101 * segment + whole[2:])
    assert reason(tmp_path / "x") == "more than 100 EXIF segments"


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), KeyError(3), struct.error("x"), OSError()])
@pytest.mark.parametrize("call", ["PIL.Image.open", "PIL.ImageFile.ImageFile.load", "PIL.Image.Image.getexif"])
def test_whatever_pillow_raises_is_a_reason(tmp_path, monkeypatch, error, call):
    (tmp_path / "x").write_bytes(encoded(PICTURE, "BMP"))

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(call, fail)
    assert reason(tmp_path / "x").startswith("cannot be decoded: ")


def test_a_process_without_file_handles_blames_no_file(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "x.png")

    def fail(*args, **kwargs):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        decode(tmp_path / "x.png")


def test_a_bug_in_a_check_is_no_fault_of_the_file(tmp_path):
    PICTURE.save(tmp_path / "x.png")
    with pytest.raises(ZeroDivisionError):
        decode(tmp_path / "x.png", check=lambda image: 1 // 0)


def test_a_reason_is_one_short_line(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "x.png")

    def fail(*args, **kwargs):
        raise ValueError("a\nb\x1b[2J" * 100)

    monkeypatch.setattr(Image, "open", fail)
    assert reason(tmp_path / "x.png").isprintable()
    assert len(reason(tmp_path / "x.png")) < 250


def test_decoding_leaves_the_warning_filters_alone(tmp_path):
    PICTURE.save(tmp_path / "x.png")
    before = list(warnings.filters)
    decode(tmp_path / "x.png")
    assert list(warnings.filters) == before


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_a_turned_file_of_any_format_has_its_upright_size(tmp_path, image_format):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "x").write_bytes(encoded(PICTURE, image_format, exif=exif))
    frame = decode(tmp_path / "x")
    assert frame.upright_size == frame.upright().size == (12, 16)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_tiff_of_any_mode_keeps_its_pixels(tmp_path, mode, compression, orientation):
    """Pillow maps uncompressed files of some modes, with width and height swapped."""
    stored = Image.fromarray(NOISE[..., 0].astype(np.uint16)) if mode == "I;16" else PICTURE.convert(mode)
    (tmp_path / "x").write_bytes(encoded(stored, "TIFF", tiffinfo={0x0112: orientation}, compression=compression))
    frame = decode(tmp_path / "x")
    turns = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]
    assert np.array_equal(np.asarray(frame.upright()), np.rot90(np.asarray(stored), turns))
    assert frame.upright().size == frame.upright_size


SEEDS = [
    encoded(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
    encoded(PICTURE, "JPEG", progressive=True),
    encoded(PICTURE.convert("CMYK"), "JPEG"),
    encoded(PICTURE, "PNG"),
    encoded(PICTURE.convert("P"), "PNG", transparency=b"\0\x80"),
    encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "PNG"),
    encoded(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
    encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    encoded(PICTURE, "BMP"),
    encoded(PICTURE, "TIFF"),
    encoded(PICTURE.convert("F"), "TIFF"),
    encoded(PICTURE, "TIFF", tiffinfo={0x0112: 6}),
    encoded(PICTURE, "WEBP"),
    encoded(PICTURE, "WEBP", lossless=True),
    encoded(PICTURE.convert("L"), "PPM"),
    b"P3\n9 9\n255\n" + b" 1 2 3" * 81,
]
EDITS = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["flip", "cut", "drop", "fill", "insert"]), st.binary(max_size=4)),
    max_size=5,
)


def damaged(content: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    data = bytearray(content)
    for place, kind, extra in edits:
        at = place % len(data) if data else 0
        if kind == "flip" and data:
            data[at] ^= 1 << place % 8
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + len(extra)]
        elif kind == "fill":
            data[at : at + len(extra)] = extra
        else:
            data[at:at] = extra
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # of Pillow's, which pytest shows although decode does not
@many
@given(st.sampled_from(SEEDS), EDITS, st.booleans())
def test_a_damaged_file_is_a_picture_or_has_a_reason(tmp_path_factory, content, edits, is_mask):
    folder = tmp_path_factory.getbasetemp()
    (folder / "damaged").write_bytes(damaged(content, edits))
    try:
        upright = decode(folder / "damaged").upright_size
        Image.new("RGB" if is_mask else "L", upright, 1).save(folder / "made", "PNG")
        files = ("made", "damaged") if is_mask else ("damaged", "made")
        sample = Sample("x", "test", "", folder / files[0], (folder / files[1],))
        picture, mask = read_pair(sample, Reading(Trimaps(), "ignore", (0, 1000)), (4, 4))
        assert picture.mode == "RGB" and picture.resize((16, 16)).tobytes()
        assert mask.shape[::-1] == upright and set(np.unique(mask)) <= {0, 1, 2}
    except UnusableFile as fault:
        assert str(fault).isprintable()
