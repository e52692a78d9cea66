"""Pictures of every mode and depth become the RGB that people see."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segkit.dataset.decode import UnusableFile, decode
from segkit.dataset.pictures import read_mask, to_rgb


@pytest.fixture
def opened(tmp_path):
    """Write an image in some format under the name x.jpg and decode it."""

    def opened(image: Image.Image, image_format: str = "PNG", **options) -> Image.Image:
        image.save(tmp_path / "x.jpg", format=image_format, **options)
        return decode(tmp_path / "x.jpg").image

    return opened


def coloured(width: int = 12, height: int = 8) -> Image.Image:
    """A picture whose every pixel has another colour, so that any turn shows."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([20 * x, 30 * y, 10 * (x + y)], -1).astype(np.uint8))


def pixels(image: Image.Image) -> list:
    return np.asarray(image).tolist()


def png(*parts: tuple[bytes, bytes]) -> bytes:
    """A PNG of chunks, each a kind and its content."""
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "WEBP", "TIFF"])
def test_the_format_is_read_from_the_bytes(opened, image_format):
    found = to_rgb(opened(coloured(), image_format, **({"lossless": True} if image_format == "WEBP" else {})))
    assert pixels(found) == pixels(coloured())


def test_a_gif_with_a_picture_s_name_is_decoded(opened):
    found = to_rgb(opened(coloured(), "GIF"))
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found).astype(int) - np.asarray(coloured())).max() <= 16  # its palette


def test_of_an_animation_the_first_frame_counts(opened):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = opened(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert to_rgb(found).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_over_white(opened, mode):
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 255, 128)):
        image.putpixel((x, 0), (100, 100, 100, alpha))
    clear, solid, half = pixels(to_rgb(opened(image.convert(mode))))[0]
    assert (clear, solid) == ([255] * 3, [100] * 3)
    assert half == pytest.approx([177] * 3, abs=1)


def test_a_palette_gives_its_colours_and_its_transparent_entry_white(opened):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert pixels(to_rgb(opened(image))) == [[[255, 0, 0], [0, 0, 255]]]
    assert pixels(to_rgb(opened(image, transparency=0))) == [[[255, 255, 255], [0, 0, 255]]]
    assert pixels(to_rgb(opened(image, transparency=b"\x00\xff"))) == [[[255, 255, 255], [0, 0, 255]]]


def test_grey_becomes_grey(opened):
    assert pixels(to_rgb(opened(Image.new("L", (1, 1), 77)))) == [[[77, 77, 77]]]
    assert pixels(to_rgb(opened(Image.new("1", (1, 1), 1)))) == [[[255, 255, 255]]]


def test_16_bit_grey_is_scaled_to_8_bits(opened):
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert [pixel[0] for pixel in pixels(to_rgb(opened(Image.fromarray(values))))[0]] == [0, 1, 128, 255]


def test_8_bit_values_in_a_16_bit_file_stay_as_they_are(opened):
    assert pixels(to_rgb(opened(Image.fromarray(np.array([[0, 7, 255]], np.uint16)))))[0][1] == [7, 7, 7]


def test_wide_grey_of_either_byte_order_is_scaled_to_8_bits(opened):
    values = np.array([[0, 300, 32768, 65535]], np.uint16)
    for dtype in ("<u2", ">u2"):
        image = Image.frombytes("I;16" if dtype == "<u2" else "I;16B", (4, 1), values.astype(dtype).tobytes())
        assert pixels(to_rgb(opened(image, "TIFF")))[0] == [[value] * 3 for value in (0, 1, 128, 255)]
    assert pixels(to_rgb(opened(Image.fromarray(values.astype(np.int32)), "TIFF")))[0][1:3] == [[1] * 3, [128] * 3]


def test_colours_of_16_bits_keep_their_upper_half(tmp_path):
    """PNG, colour type 2, 16 bits; Pillow cannot write it."""
    row = b"\0" + np.array([0, 255, 256, 32768, 65535, 4660], ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    (tmp_path / "x").write_bytes(png((b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b"")))
    assert pixels(to_rgb(decode(tmp_path / "x").image)) == [[[0, 0, 1], [128, 255, 18]]]
    with pytest.raises(UnusableFile, match="mask: it has 16-bit colours; save it as 8-bit greyscale"):
        read_mask(tmp_path / "x")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.25, 1], [0, 64, 255]),
        ([0, 7, 254.6], [0, 7, 255]),
        ([0, 257, 65535], [0, 1, 255]),
    ],
    ids=["a share of 1", "8 bits", "16 bits"],
)
def test_floats_are_a_share_or_the_values_of_whole_numbers(opened, values, expected):
    found = to_rgb(opened(Image.fromarray(np.array([values], np.float32)), "TIFF"))
    assert pixels(found)[0] == [[value] * 3 for value in expected]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.float32, value) for value in (np.nan, np.inf, -np.inf, -1, 65536)]
    + [(np.int32, value) for value in (-1, 65536, 2**31 - 1)],
)
def test_numbers_that_are_no_brightness_are_refused(opened, value, dtype):
    image = opened(Image.fromarray(np.array([[0, value, 9]]).astype(dtype)), "TIFF")
    with pytest.raises(UnusableFile, match=r"image: brightness from .* is outside 0 to 65535"):
        to_rgb(image)


def test_cmyk_is_ink_on_white(opened):
    """What is left of the light after one ink and black, each a share of 255."""
    inks = np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8)
    left = 255 - inks.astype(float)
    expected = left[..., :3] * left[..., 3:] / 255
    found = to_rgb(opened(Image.fromarray(inks, "CMYK"), "TIFF"))
    assert np.abs(np.asarray(found) - expected).max() <= 1


def test_lab_has_white_black_and_grey_on_its_axis(opened):
    image = Image.new("LAB", (3, 1))
    for x, lightness in enumerate((0, 137, 255)):  # 53.6 of 100 is the middle grey of sRGB
        image.putpixel((x, 0), (lightness, 128, 128))
    found = np.asarray(to_rgb(opened(image, "TIFF"))).astype(int)[0]
    assert np.abs(found - [[0], [128], [255]]).max() <= 3


def test_one_colour_of_rgb_may_be_transparent(opened):
    image = Image.fromarray(np.array([[[1, 2, 3], [3, 2, 1]]], np.uint8))
    assert pixels(to_rgb(opened(image, transparency=(1, 2, 3)))) == [[[255] * 3, [3, 2, 1]]]


def test_one_grey_of_16_bits_may_be_transparent(opened):
    image = Image.fromarray(np.array([[0, 30000, 65535]], np.uint16))
    assert [pixel[0] for pixel in pixels(to_rgb(opened(image, transparency=0)))[0]] == [255, 117, 255]


def test_cmyk_becomes_rgb(opened):
    found = to_rgb(opened(Image.new("RGB", (8, 8), (200, 40, 40)).convert("CMYK"), "JPEG", quality=100))
    assert found.mode == "RGB"
    assert found.getpixel((4, 4)) == pytest.approx((200, 40, 40), abs=6)
