"""What one mask file holds, whatever its mode, and what makes it ambiguous on its own."""

from itertools import product

import numpy as np
import pytest
from PIL import Image

from segkit.dataset.decode import UnusableFile, decode, opened
from segkit.dataset.mask_values import examine, is_lossy
from tests.dataset.own import disc


def reason(mask: Image.Image) -> str:
    with pytest.raises(UnusableFile) as caught:
        examine(mask, lossy=False)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr", "HSV"])
def test_a_mode_without_values_is_refused(mode):
    assert reason(Image.new(mode, (9, 9))).startswith(f"mask: its mode {mode} has no label values; save it as 8-bit")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    assert reason(Image.fromarray(np.array([[0, value]], np.float32))).startswith("mask: some values are not finite")


@pytest.mark.parametrize(
    "pixels",
    [
        [(255, 255, 255, 0), (255, 255, 255, 255)],
        [(0, 0, 0, 0), (0, 0, 0, 255)],
        [(0, 0, 0, 255), (255, 0, 0, 128)],
        [(255, 255, 255, 255), (255, 255, 255, 254)],
    ],
    ids=["white on clear white", "black on clear black", "half clear", "nearly opaque"],
)
def test_transparency_that_matters_is_refused(pixels):
    mask = Image.fromarray(np.array([pixels], np.uint8))
    assert reason(mask).startswith("mask: it is partly transparent, so what is foreground is ambiguous; save it as 8-b")


def test_colours_beyond_a_few_are_only_counted():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    found = examine(noise, lossy=False)
    assert found.kind == "colour" and found.values == () and found.distinct > 1000


@pytest.mark.parametrize("value", [0, 16])
def test_channels_that_differ_little_are_grey(value):
    mask = Image.fromarray(np.array([[[0, 0, value], [255, 255, 255 - value]]], np.uint8))
    assert (examine(mask, lossy=True).kind, examine(mask, lossy=True).values) == ("grey", (0, 255))


def test_of_a_palette_only_the_entries_in_use_count():
    mask = Image.fromarray(np.array([[3, 5]], np.uint8), "P")
    mask.putpalette([7] * 9 + [0, 0, 0] + [9, 9, 9] + [255, 128, 1])
    found = examine(mask, lossy=False)
    assert (found.kind, found.values, found.palette) == ("palette", (3, 5), (0, 0xFF8001))


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_palette_that_is_too_short_has_black_entries(length):
    mask = Image.fromarray(np.array([[0, 200]], np.uint8), "P")
    mask.putpalette([255] * length)
    assert examine(mask, lossy=False).palette[1] == 0


@pytest.mark.parametrize(
    ("image_format", "options", "lossy"),
    [
        ("JPEG", {}, True),
        ("WEBP", {}, True),
        ("TIFF", {"compression": "jpeg"}, True),
        ("WEBP", {"lossless": True}, False),
        ("TIFF", {"compression": "tiff_lzw"}, False),
        ("PNG", {}, False),
        ("GIF", {}, False),
        ("BMP", {}, False),
    ],
)
def test_lossy_compression_is_recognised_whatever_the_name(tmp_path, image_format, options, lossy):
    Image.fromarray(disc(1)).convert("L").save(tmp_path / "m.png", image_format, **options)
    with Image.open(tmp_path / "m.png") as image:
        assert is_lossy(image) == lossy


def test_soft_edges_are_on_edges_and_blobs_of_grey_are_not():
    mask = disc(1, 60, 60) * np.uint8(255)
    soft = np.where(np.roll(mask, 1, axis=1) != mask, 128, mask).astype(np.uint8)
    blob = mask.copy()
    blob[:20, :20] = 128
    found = examine(Image.fromarray(soft), lossy=False)
    assert found.far == 0 < found.between
    assert examine(Image.fromarray(blob), lossy=False).far == pytest.approx(20 * 20 / 3600)


def test_a_mask_of_one_pixel_and_one_of_one_row_have_values(tmp_path):
    for shape in ((1, 1), (1, 9), (9, 1), (2, 2)):
        values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        Image.fromarray(values).save(tmp_path / "m.png")
        assert examine(decode(tmp_path / "m.png").image, lossy=False).distinct == values.size


@pytest.mark.parametrize(("distance", "far"), [(1, 0), (2, 0), (3, 1)])
def test_near_is_within_two_pixels_in_each_direction(distance, far):
    for dy, dx in product((-distance, 0, distance), repeat=2):
        if (dy, dx) != (0, 0):
            values = np.zeros((9, 9), np.uint8)
            values[4, 4], values[4 + dy, 4 + dx] = 128, 255
            assert examine(Image.fromarray(values), lossy=False).far * 81 == pytest.approx(far)


def test_of_a_webp_file_with_much_behind_it_only_the_head_is_read(tmp_path, monkeypatch):
    """A file may claim any size; what says that it is lossless comes before the pixels."""
    Image.fromarray(disc(0)).convert("RGB").save(tmp_path / "m", "WEBP", lossless=True)
    monkeypatch.setattr("segkit.dataset.mask_values.WEBP_HEAD", 64)
    with open(tmp_path / "m", "ab") as file:
        file.write(b"VP8L" * 99)
    with opened(tmp_path / "m") as image:
        assert not is_lossy(image)
    Image.fromarray(disc(0)).convert("RGB").save(tmp_path / "m", "WEBP", quality=50)
    with open(tmp_path / "m", "ab") as file:
        file.write(bytes(64) + b"VP8L")
    with opened(tmp_path / "m") as image:
        assert is_lossy(image)
