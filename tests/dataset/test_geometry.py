"""How an image becomes rows of the network's input size."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.base.packed import IGNORED
from segkit.dataset.geometry import Window, rows, windows
from tests.tiny import few, many

SIDE = st.integers(8, 90)
SIZE = st.tuples(st.integers(16, 40), st.integers(16, 40))


def pair(width: int, height: int) -> tuple[Image.Image, np.ndarray]:
    """Noise, and a mask of 0, 1 and 255."""
    numbers = np.random.default_rng(width * 1000 + height)
    image = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(image), numbers.choice(np.array([0, 1, 255], np.uint8), (height, width))


@many
@given(SIDE, SIDE, SIZE)
def test_windows_cover_every_pixel_overlap_by_a_quarter_and_stay_inside(width, height, size):
    boxes = windows(width, height, size, "tile")
    seen = np.zeros((height, width), int)
    for box in boxes:
        assert 0 <= box.top < box.bottom <= height and 0 <= box.left < box.right <= width
        assert (box.bottom - box.top, box.right - box.left) == (box.content_height, box.content_width)
        assert (box.content_height, box.content_width) == (min(height, size[0]), min(width, size[1]))
        seen[box.top : box.bottom, box.left : box.right] += 1
    assert seen.min() == 1 or len(boxes) > 1
    assert seen.all() and len(set(boxes)) == len(boxes)
    for starts, side in (({box.top for box in boxes}, size[0]), ({box.left for box in boxes}, size[1])):
        ordered = sorted(starts)
        assert all(after - before <= side - side // 4 for before, after in pairwise(ordered))
    assert len({box.top for box in boxes}) * len({box.left for box in boxes}) == len(boxes)


@many
@given(st.integers(8, 2000), st.integers(8, 2000), st.tuples(st.integers(16, 700), st.integers(16, 700)))
def test_fit_keeps_proportions_within_half_a_pixel(width, height, size):
    (box,) = windows(width, height, size, "fit")
    assert (box.top, box.left, box.bottom, box.right) == (0, 0, height, width)
    inner = box.content_height, box.content_width
    assert all(1 <= part <= whole for part, whole in zip(inner, size, strict=True))
    assert inner[0] == size[0] or inner[1] == size[1]
    scale = min(size[0] / height, size[1] / width)
    for part, side in zip(inner, (height, width), strict=True):
        assert abs(part - side * scale) <= 0.5 or part == 1


@few
@given(SIDE, SIDE, SIZE)
def test_stretch_is_pillow_s_resize_bit_for_bit(width, height, size):
    image, mask = pair(width, height)
    boxes = windows(width, height, size, "stretch")
    assert boxes == [Window(0, 0, height, width, *size)]
    images, masks = rows(image, mask, boxes, size)
    assert np.array_equal(images[0], image.resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.array_equal(masks[0], Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


@few
@given(SIDE, SIDE, SIZE)
def test_fit_is_pillow_s_resize_with_padding(width, height, size):
    image, mask = pair(width, height)
    (box,) = windows(width, height, size, "fit")
    (row,), (labels,) = rows(image, mask, [box], size)
    inner = box.content_width, box.content_height
    content = np.s_[: box.content_height, : box.content_width]
    assert np.array_equal(row[content], image.resize(inner, Image.Resampling.BILINEAR))
    assert np.array_equal(labels[content], Image.fromarray(mask).resize(inner, Image.Resampling.NEAREST))
    assert_padded(row, labels, box)


def assert_padded(row: np.ndarray, labels: np.ndarray, box: Window) -> None:
    """Outside of its content a row repeats the edge, and is ignored in the mask."""
    y, x = np.mgrid[: row.shape[0], : row.shape[1]]
    repeated = row[np.minimum(y, box.content_height - 1), np.minimum(x, box.content_width - 1)]
    assert np.array_equal(row, repeated)
    outside = (y >= box.content_height) | (x >= box.content_width)
    assert (labels[outside] == IGNORED).all()


@few
@given(SIDE, SIDE, SIZE)
def test_image_and_mask_can_be_put_together_from_windows(width, height, size):
    image, mask = pair(width, height)
    boxes = windows(width, height, size, "tile")
    images, masks = rows(image, mask, boxes, size)
    whole, labels = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for row, part, box in zip(images, masks, boxes, strict=True):
        place = np.s_[box.top : box.bottom, box.left : box.right]
        whole[place] = row[: box.content_height, : box.content_width]
        labels[place] = part[: box.content_height, : box.content_width]
        assert_padded(row, part, box)
    assert np.array_equal(whole, image) and np.array_equal(labels, mask)


def test_an_image_decoded_smaller_gives_rows_of_the_same_size():
    """A JPEG may be decoded at a half of the size of its mask."""
    image, mask = pair(64, 48)
    boxes = windows(64, 48, (24, 24), "fit")
    images, masks = rows(image.resize((32, 24)), mask, boxes, (24, 24))
    assert images.shape == (1, 24, 24, 3) and (masks[0, 18:] == IGNORED).all() and (masks[0, :18] != IGNORED).any()


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_an_image_of_the_input_size_stays_as_it_is(resize):
    image, mask = pair(32, 24)
    images, masks = rows(image, mask, windows(32, 24, (24, 32), resize), (24, 32))
    assert np.array_equal(images[0], image) and np.array_equal(masks[0], mask)


@pytest.mark.parametrize(("width", "height", "size"), [(256, 8, (16, 16)), (8, 256, (16, 16)), (8, 8, (8192, 16))])
def test_extreme_shapes_leave_at_least_one_pixel(width, height, size):
    (box,) = windows(width, height, size, "fit")
    assert box.content_height >= 1 and box.content_width >= 1
