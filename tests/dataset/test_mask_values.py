"""What one mask file holds, whatever its mode."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from segkit.dataset.decode import UnusableFile, opened
from segkit.dataset.mask_values import FEW, Found, colour_codes, examine, is_grey, is_lossy
from tests.dataset.masks import encoded, grey, palette, truth
from tests.tiny import few, many

GREY = np.array([[0, 1], [2, 255]], np.uint8)


def seen(image: Image.Image | np.ndarray, lossy: bool = False) -> Found:
    return examine(Image.fromarray(image) if isinstance(image, np.ndarray) else image, lossy)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I", "F", "RGBX"])
def test_greys_are_the_same_in_any_mode(mode):
    found = seen(Image.fromarray(GREY).convert(mode))
    assert (found.kind, found.values, found.distinct, found.low, found.high) == ("grey", (0, 1, 2, 255), 4, 0, 255)
    assert found.whole == (mode != "F")


@many
@given(arrays.arrays(np.int32, (4, 5), elements=st.integers(-(2**31), 2**31 - 1)))
def test_whole_numbers_are_what_they_are(values):
    found = seen(values)
    assert found.values == tuple(sorted(set(values.ravel().tolist())))
    assert (found.low, found.high, found.whole) == (values.min(), values.max(), True)


def test_more_than_a_few_values_are_only_counted():
    values = np.arange(FEW + 1, dtype=np.uint16).reshape(1, -1)
    assert seen(values).values == () and seen(values).distinct == FEW + 1
    assert len(seen(values[:, :-1]).values) == FEW


def test_a_palette_has_indices_and_the_colours_of_those_in_use():
    found = seen(palette(np.array([[0, 2]]), (0, 0, 0), (9, 9, 9), (128, 0, 0)))
    assert (found.kind, found.values, found.palette) == ("palette", (0, 2), (0, 0x800000))


def test_colours_are_numbers():
    found = seen(np.array([[[0, 0, 0], [255, 0, 16]]], np.uint8))
    assert (found.kind, found.values) == ("colour", (0, 0xFF0010))


@few
@given(arrays.arrays(np.uint8, (3, 4, 3)))
def test_a_colour_s_number_is_its_hexadecimal_code(colours):
    codes = colour_codes(colours)
    assert codes.shape == (3, 4)
    assert [f"{code:06x}" for code in codes.ravel()] == [
        bytes(colour.tolist()).hex() for colour in colours.reshape(-1, 3)
    ]


@pytest.mark.parametrize(("difference", "expected"), [(0, True), (16, True), (17, False)])
def test_nearly_grey_is_grey(difference, expected):
    assert is_grey(np.array([[[100, 100, 100 + difference]]], np.uint8)) == expected


@pytest.mark.parametrize("mode", ["L", "P"])
def test_pixels_between_dark_and_bright_are_counted(mode):
    """A bright square; beside it one column of a middle grey, and a grey pixel far from it."""
    values = np.zeros((20, 20), np.uint8)
    values[5:10, 5:10], values[5:10, 10], values[15, 15] = 255, 128, 128
    table = [(n, n, n) for n in range(256)]
    found = seen(palette(values, *table) if mode == "P" else values)
    assert (found.upper, found.between, found.far) == (25 / 400, 6 / 400, 1 / 400)


@pytest.mark.parametrize(("distance", "far"), [(1, 0), (2, 0), (3, 1)])
def test_near_is_within_two_pixels_in_each_direction(distance, far):
    for dy, dx in itertools.product((-distance, 0, distance), repeat=2):
        if (dy, dx) != (0, 0):
            values = np.zeros((9, 9), np.uint8)
            values[4, 4], values[4 + dy, 4 + dx] = 128, 255
            assert seen(values).far * 81 == pytest.approx(far)


def test_two_values_have_nothing_between():
    found = seen(np.array([[0, 100], [100, 0]], np.uint8))
    assert (found.between, found.far, found.upper) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr", "HSV"])
def test_modes_without_values_are_refused(mode):
    with pytest.raises(UnusableFile, match=f"mask: its mode {mode} has no label values; save it as 8-bit greyscale"):
        seen(Image.new(mode, (3, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(UnusableFile, match="mask: some values are not finite; save it as"):
        seen(np.array([[0, value]], np.float32))


@pytest.mark.parametrize(
    ("image_format", "options", "lossy"),
    [
        ("PNG", {}, False),
        ("JPEG", {"quality": 100}, True),
        ("WEBP", {"quality": 100}, True),
        ("WEBP", {"lossless": True}, False),
        ("WEBP", {"lossless": True, "icc_profile": bytes(99), "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}, False),
        ("TIFF", {"compression": "jpeg"}, True),
        ("TIFF", {"compression": "tiff_lzw"}, False),
        ("GIF", {}, False),
    ],
)
def test_whether_compression_changes_values(tmp_path, image_format, options, lossy):
    (tmp_path / "m").write_bytes(encoded(grey(truth(0)), image_format, **options))
    with opened(tmp_path / "m") as image:
        assert is_lossy(image) == lossy


def test_of_a_webp_file_with_much_behind_it_only_the_head_is_read(tmp_path):
    (tmp_path / "m").write_bytes(encoded(grey(truth(0)), "WEBP", lossless=True))
    with open(tmp_path / "m", "r+b") as file:
        file.truncate(2**26)
    with opened(tmp_path / "m") as image:
        assert not is_lossy(image)
