"""Windows that are put together again give the image back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.dataset import geometry
from segkit.evaluation.stitching import blend, images_of, paste
from tests.tiny import few


@st.composite
def cuts(draw):
    """An image, its mask, the lines of its windows, and their pixels as packed."""
    height, width, *size, seed = (draw(st.integers(1, most)) for most in (40, 40, 16, 16, 99))
    numbers = np.random.default_rng(seed)
    picture = numbers.integers(0, 256, (height, width, 3), np.uint8)
    mask = numbers.choice(np.uint8([0, 1, 255]), (height, width))
    boxes = geometry.windows(width, height, size, "tile")
    lines = [vars(box) | {"row": row, "height": height, "width": width} for row, box in enumerate(boxes)]
    return picture, mask, lines, *geometry.rows(Image.fromarray(picture), mask, boxes, size)


def windows(values: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(window.astype(np.float32)) for window in values]


@few
@given(cuts())
def test_pasted_windows_are_the_image_and_its_mask(cut):
    picture, mask, lines, pictures, masks = cut
    assert np.array_equal(paste(pictures, lines), picture)
    assert np.array_equal(paste(masks, lines), mask)


@few
@given(cuts())
def test_windows_that_agree_keep_their_exact_values(cut):
    """A weighted sum divided by the sum of the weights would be off by a rounding error."""
    picture, _, lines, pictures, _ = cut
    expected = picture[..., 0].astype(np.float32) / np.float32(255)
    assert np.array_equal(blend(windows(pictures[..., 0] / np.float32(255)), lines).numpy(), expected)


@few
@given(cuts(), st.floats(0, 1, width=32))
def test_a_constant_stays_constant(cut, value):
    _, _, lines, _, masks = cut
    assert (blend(windows(np.full(masks.shape, value)), lines) == value).all()


@few
@given(cuts(), st.integers(0, 99))
def test_overlaps_are_weighted_means(cut, seed):
    _, mask, lines, _, masks = cut
    values = np.random.default_rng(seed).random(masks.shape)
    total, weights = np.zeros((2, *mask.shape))
    for line, window in zip(lines, values, strict=True):
        for y in range(line["content_height"]):
            for x in range(line["content_width"]):
                weight = min(y + 1, line["content_height"] - y) * min(x + 1, line["content_width"] - x)
                total[line["top"] + y, line["left"] + x] += weight * window[y, x]
                weights[line["top"] + y, line["left"] + x] += weight
    assert weights.min() >= 1
    assert blend(windows(values), lines).numpy() == pytest.approx(total / weights, abs=1e-6)


@few
@given(cuts(), st.integers(0, 99))
def test_no_pixel_is_outside_the_range_of_its_windows(cut, seed):
    _, mask, lines, _, masks = cut
    values = np.random.default_rng(seed).random(masks.shape, np.float32)
    low, high = np.ones(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    for line, window in zip(lines, values, strict=True):
        box = slice(line["top"], line["bottom"]), slice(line["left"], line["right"])
        seen = window[: line["content_height"], : line["content_width"]]
        low[box], high[box] = np.minimum(low[box], seen), np.maximum(high[box], seen)
    found = blend(windows(values), lines).numpy()
    assert (found >= low - 1e-6).all() and (found <= high + 1e-6).all()


def test_one_window_fades_into_the_next():
    lines = [
        {"height": 1, "width": 14, "top": 0, "bottom": 1, "left": left, "right": left + 8}
        | {"content_height": 1, "content_width": 8}
        for left in (0, 6)
    ]
    (found,) = blend(windows(np.stack([np.zeros((1, 8)), np.ones((1, 8))])), lines).tolist()
    assert found == pytest.approx([0] * 6 + [1 / 3, 2 / 3] + [1] * 6)


def test_rows_of_one_name_are_one_image():
    rows = [{"name": name} for name in "aabccc"]
    assert [[row["name"] for row in image] for image in images_of(rows)] == [["a", "a"], ["b"], ["c", "c", "c"]]
    assert images_of([]) == []
