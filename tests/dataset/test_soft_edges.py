"""Masks in black and white with soft edges are cut at half of the maximum; what is none of these is refused."""

import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.dataset.masks import EXACT, SOFT, TRUTHS, encoded, grey, numbers, read, refusal, stored, truth

LABELS = [np.where(true, 2, 0).astype(np.uint8) for true in TRUTHS]
for labels in LABELS:
    labels[:4, :9] = 3


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("kind", SOFT)
def test_soft_edges_are_cut_at_half_of_the_maximum(tmp_path, kind):
    meaning, masks = read(tmp_path, stored(SOFT[kind]))
    assert re.search(r"values, cut at |254 and 255, cut at ", meaning.words), meaning
    assert min(map(dice, [mask == 1 for mask in masks], TRUTHS)) > 0.97
    assert all(set(np.unique(mask)) == {0, 1} for mask in masks)


@pytest.mark.parametrize("kind", [*SOFT, "0 and 255"])
def test_reversed_masks_are_right_with_the_value_of_foreground(tmp_path, kind):
    files = stored((SOFT | EXACT)[kind], [~true for true in TRUTHS])
    _, masks = read(tmp_path, files, foreground=(0,))
    assert min(map(dice, [mask == 1 for mask in masks], TRUTHS)) > 0.95


@pytest.mark.parametrize("kind", ["0 and 255", "palette, white first", "JPEG", "resampled", "palette of labels"])
def test_masks_without_an_object_fit_in(tmp_path, kind):
    files = stored((EXACT | SOFT)[kind], [*TRUTHS, np.zeros_like(TRUTHS[0])])
    *_, empty = read(tmp_path, files)[1]
    assert not empty.any()


@pytest.mark.parametrize("radius", [4, 8])
def test_what_is_blurred_beyond_use_is_refused(tmp_path, radius):
    files = stored(lambda m: encoded(grey(m).filter(ImageFilter.GaussianBlur(radius))))
    said = refusal(tmp_path, files)
    assert "% of the pixels between dark and bright, so they are not black and white with soft edges" in said


@pytest.mark.parametrize(
    "labels",
    [[0, 10, 20, 30, 200], [0, 1, 2, 3, 4, 100], [0, 50, 100, 150, 200, 250], [0, 1, 2, 255], [*range(21), 255]],
    ids=str,
)
def test_labels_of_any_size_are_not_soft_edges(tmp_path, labels):
    """255 beside small labels, as in PASCAL VOC, was foreground, and all labels were background."""
    stripes = np.tile(np.repeat(np.uint8(labels), 4), (8, 1))
    files = {name: encoded(stripes) for name in ("a", "b")}
    assert "which does not tell what is foreground" in refusal(tmp_path, files)
    lit = np.where((stripes == 255) & (labels[1] == 1), 255, stripes > 0)
    assert np.array_equal(read(tmp_path, files, foreground="nonzero")[1][0], lit)


def test_a_mask_of_another_convention_among_soft_ones_is_named(tmp_path):
    files = stored(SOFT["resampled"]) | {"odd": EXACT["0 and 1"](TRUTHS[0]), "full": EXACT["0 and 1"](TRUTHS[0] | True)}
    said = refusal(tmp_path, files)
    assert "2 of 6 are unlike the rest, grey or much darker (odd, full); draw them again in black and white" in said


def photograph(number: int) -> np.ndarray:
    small = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((48, 40), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_masks_that_are_photographs_are_refused_as_such(tmp_path, mode, image_format):
    files = {f"m{n}": encoded(Image.fromarray(photograph(n)).convert(mode), image_format) for n in range(3)}
    said = refusal(tmp_path, files)
    assert "photographs" in said and "data.folder.images and data.folder.masks are swapped" in said


def cells(number: int, side: int, size: int = 120) -> np.ndarray:
    """Small squares, each with a number of its own, from 1 on."""
    ids = np.zeros((size, size), np.uint8)
    places = [(y, x) for y in range(2, size - side, 3 * side) for x in range(2, size - side, 3 * side)]
    order = np.random.default_rng(number).permutation(len(places))[: 250 - number]
    for label, place in enumerate(order, 1):
        y, x = places[place]
        ids[y : y + side, x : x + side] = label
    return ids


@pytest.mark.parametrize("side", [2, 3, 5])
def test_small_objects_with_a_number_each_are_not_soft_edges(tmp_path, side):
    """Half of them would be lost with a cut at half of the maximum."""
    ids = [cells(number, side) for number in range(3)]
    files = {f"m{number}": encoded(each) for number, each in enumerate(ids)}
    assert "to nonzero if every value but 0 is" in refusal(tmp_path, files)
    assert np.array_equal(read(tmp_path, files, foreground="nonzero")[1][0], ids[0] > 0)


@pytest.mark.parametrize("quality", [30, 60, 85, 95])
@pytest.mark.parametrize("value", [1, 2])
def test_small_labels_as_jpeg_are_refused(tmp_path, value, quality):
    """Of 0 and 1, or 0 and 3, the outlines are lost."""
    masks = [truth(number, 200, 240) for number in range(3)]
    said = refusal(tmp_path, stored(lambda m: encoded(numbers(m, 0, value, np.uint8), "JPEG", quality=quality), masks))
    assert "make them again from their source, and save them as PNG" in said or "masks hold 0, so nothing" in said


def test_labels_as_jpeg_cannot_be_told_either(tmp_path):
    files = {f"m{n}": encoded(labels * 80, "JPEG") for n, labels in enumerate(LABELS)}
    for told in ("auto", "nonzero", (240,)):
        said = refusal(tmp_path, files, foreground=told)
        assert "save them as PNG" in said or "set it to nonzero" in said, said
