"""Pictures of every mode and depth become the RGB that people see."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segkit.dataset.decode import UnusableFile, decode
from segkit.dataset.mask_values import refuse_wide_colours
from segkit.dataset.pictures import to_rgb


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


WIDE = np.array([[190, 320, 445, 506]])
EIGHT_BITS = [0, 105, 206, 255]  # of WIDE, from 190 to 506


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(WIDE.astype(np.uint16)),
        Image.frombytes("I;16B", (4, 1), WIDE.astype(">u2").tobytes()),
        Image.fromarray(WIDE.astype(np.int32)),
        Image.fromarray(WIDE.astype(np.float32)),
    ],
    ids=["16 bits", "16 bits, big-endian", "32 bits", "floats"],
)
def test_grey_of_more_than_8_bits_is_scaled_by_the_range_of_the_set(opened, image):
    found = to_rgb(opened(image, "TIFF"), (190, 506))
    assert pixels(found)[0] == [[value] * 3 for value in EIGHT_BITS]


def test_what_is_darker_or_brighter_than_the_range_is_black_or_white(opened):
    values = np.array([[-(10.0**30), -2, 0, 1.5, 2, 10.0**30]], np.float32)
    found = to_rgb(opened(Image.fromarray(values), "TIFF"), (-2, 2))
    assert [pixel[0] for pixel in pixels(found)[0]] == [0, 0, 128, 223, 255, 255]


def test_no_image_is_scaled_by_its_own_maximum(opened):
    dark, bright = (
        to_rgb(opened(Image.fromarray(np.array([[0, most]], np.uint16))), (0, 4095)) for most in (200, 4000)
    )
    assert pixels(dark)[0][1] == [12] * 3
    assert pixels(bright)[0][1] == [249] * 3


def test_without_a_range_more_than_8_bits_are_refused(opened):
    with pytest.raises(UnusableFile, match="more than 8 bits per value; save it with 8, or use data.source: folder"):
        to_rgb(opened(Image.fromarray(WIDE.astype(np.uint16))))


def test_colours_of_16_bits_keep_their_upper_half(tmp_path):
    """PNG, colour type 2, 16 bits; Pillow cannot write it."""
    row = b"\0" + np.array([0, 255, 256, 32768, 65535, 4660], ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    (tmp_path / "x").write_bytes(png((b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b"")))
    assert pixels(to_rgb(decode(tmp_path / "x").image)) == [[[0, 0, 1], [128, 255, 18]]]
    with pytest.raises(UnusableFile, match="^it has 16-bit colours; save it as 8-bit greyscale with black"):
        decode(tmp_path / "x", refuse_wide_colours)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(opened, value):
    image = opened(Image.fromarray(np.array([[0, value, 9]], np.float32)), "TIFF")
    with pytest.raises(UnusableFile, match="image: some values are not finite"):
        to_rgb(image, (0, 9))


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_fourth_band_of_a_tiff_is_no_transparency_that_of_a_png_is(opened, orientation):
    bands = np.random.default_rng(0).integers(0, 256, (2, 3, 4), dtype=np.uint8)
    frame = opened(Image.fromarray(bands), "TIFF", tiffinfo={0x0112: orientation})
    seen = bands[..., :3] if orientation == 1 else np.rot90(bands[..., :3], -1)
    assert pixels(to_rgb(frame)) == seen.tolist()
    assert pixels(to_rgb(opened(Image.fromarray(bands)))) != bands[..., :3].tolist()


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
    assert [pixel[0] for pixel in pixels(to_rgb(opened(image, transparency=0), (0, 65535)))[0]] == [255, 117, 255]


def test_cmyk_becomes_rgb(opened):
    found = to_rgb(opened(Image.new("RGB", (8, 8), (200, 40, 40)).convert("CMYK"), "JPEG", quality=100))
    assert found.mode == "RGB"
    assert found.getpixel((4, 4)) == pytest.approx((200, 40, 40), abs=6)
