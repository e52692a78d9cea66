"""Windows, padding and scaling, and that ``samples.csv`` tells where each row is from."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.base.packed import IGNORED, open_split, read_samples
from segkit.dataset.geometry import rows, windows
from tests.dataset.own import OwnSet, disc
from tests.tiny import few, many

SIDES = st.integers(1, 90)
SIZES = st.tuples(st.integers(16, 40), st.integers(16, 40))


def picture(width: int, height: int) -> tuple[Image.Image, np.ndarray]:
    """A random image, and a mask of 0, 1 and 255."""
    numbers = np.random.default_rng(width * 100 + height)
    mask = numbers.choice(np.array([0, 1, 255], np.uint8), (height, width))
    return Image.fromarray(numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)), mask


@many
@given(SIDES, SIDES, SIZES)
def test_tiles_cover_every_pixel_overlap_enough_and_stay_inside(width, height, size):
    boxes = windows(width, height, size, "tile")
    covered = np.zeros((height, width), int)
    for box in boxes:
        assert 0 <= box.top < box.bottom <= height and 0 <= box.left < box.right <= width
        assert (box.bottom - box.top, box.right - box.left) == (min(size[0], height), min(size[1], width))
        assert (box.content_height, box.content_width) == (box.bottom - box.top, box.right - box.left)
        covered[box.top : box.bottom, box.left : box.right] += 1
    assert covered.all()
    for starts, side in ((sorted({box.top for box in boxes}), size[0]), (sorted({box.left for box in boxes}), size[1])):
        overlaps = [one + side - other for one, other in pairwise(starts)]
        assert all(overlap >= int(side / 4) for overlap in overlaps)
    assert len(set(boxes)) == len(boxes)


@many
@given(SIDES, SIDES, SIZES)
def test_tiles_are_the_image_s_own_pixels_and_give_it_back(width, height, size):
    image, mask = picture(width, height)
    boxes = windows(width, height, size, "tile")
    images, masks = rows(image, mask, boxes, size)
    again, mask_again = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for row, box in enumerate(boxes):
        inside = np.s_[: box.content_height, : box.content_width]
        again[box.top : box.bottom, box.left : box.right] = images[row][inside]
        mask_again[box.top : box.bottom, box.left : box.right] = masks[row][inside]
    assert np.array_equal(again, image) and np.array_equal(mask_again, mask)


@many
@given(SIDES, SIDES, SIZES)
def test_fit_keeps_the_proportions_and_fills_one_side(width, height, size):
    (box,) = windows(width, height, size, "fit")
    assert (box.top, box.left, box.bottom, box.right) == (0, 0, height, width)
    assert box.content_height == size[0] or box.content_width == size[1]
    scale = min(size[0] / height, size[1] / width)
    for content, side, most in ((box.content_height, height, size[0]), (box.content_width, width, size[1])):
        assert 1 <= content <= most
        assert abs(content - side * scale) <= 0.5 or content == 1


@many
@given(SIDES, SIDES, SIZES, st.sampled_from(["fit", "tile"]))
def test_padding_repeats_the_edge_and_is_ignored(width, height, size, resize):
    image, mask = picture(width, height)
    boxes = windows(width, height, size, resize)
    images, masks = rows(image, mask, boxes, size)
    assert images.shape == (len(boxes), *size, 3) and masks.shape == (len(boxes), *size)
    for seen, labels, box in zip(images, masks, boxes, strict=True):
        assert (labels[box.content_height :] == IGNORED).all() and (labels[:, box.content_width :] == IGNORED).all()
        last_row, last_column = seen[box.content_height - 1], seen[:, box.content_width - 1]
        assert (seen[box.content_height :] == last_row).all()
        assert (seen[:, box.content_width :] == last_column[:, None]).all()


@few
@given(SIDES, SIDES, SIZES)
def test_stretch_is_pillow_s_resize(width, height, size):
    image, mask = picture(width, height)
    images, masks = rows(image, mask, windows(width, height, size, "stretch"), size)
    assert np.array_equal(images[0], image.resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.array_equal(masks[0], Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_samples_csv_tells_where_each_row_is_from(tmp_path, resize):
    """The masks are put together again from it: to the pixel, unless they were scaled down."""
    shapes = [(30, 24), (70, 20), (16, 50), (60, 61), (9, 90)]
    truths = [disc(number, *shape) for number, shape in enumerate(shapes)]
    OwnSet(tmp_path / "raw", truths).pack(tmp_path / "out", (16, 24), resize=resize, on_empty="keep")
    seen = 0
    for split in ("train", "valid", "test"):
        packed, table = open_split(tmp_path / "out", split), read_samples(tmp_path / "out", split)
        assert [row["row"] for row in table] == list(range(len(packed)))
        for number, truth in enumerate(truths):
            own = [row for row in table if row["name"] == f"s{number}"]
            found = np.full(truth.shape, 7, np.uint8)
            for row in own:
                assert (row["width"], row["height"]) == truth.shape[::-1]
                content = packed.masks[row["row"]][: row["content_height"], : row["content_width"]]
                height, width = row["bottom"] - row["top"], row["right"] - row["left"]
                part = Image.fromarray(content).resize((width, height), Image.Resampling.NEAREST)
                found[row["top"] : row["bottom"], row["left"] : row["right"]] = part
            if own:
                seen += 1
                allowed = 0 if resize == "tile" else 0.1
                assert np.count_nonzero(found != truth) <= allowed * truth.size
                outside = [np.delete(packed.masks[r["row"]], np.s_[: r["content_height"]], axis=0) for r in own]
                assert all((rest == IGNORED).all() for rest in outside)
    assert seen == len(truths)
