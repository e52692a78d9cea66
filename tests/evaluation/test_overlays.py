"""The colours of an overlay, and the sheets of images."""

import numpy as np
import pytest
from PIL import Image

from segkit.evaluation.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    OPACITY,
    TRUE_POSITIVE,
    overlay,
    write_overview,
    write_picture,
)

# one pixel each: true positive, false positive, false negative, true negative, ignored (predicted), ignored (not)
MASK = np.array([[1, 0, 1, 0, 255, 255]], np.uint8)
PREDICTION = np.array([[True, True, False, False, True, False]])


@pytest.mark.parametrize("grey", [0, 100, 255])
def test_true_and_false_positives_and_false_negatives_have_colours_and_all_else_is_grey(grey):
    result = overlay(np.full((1, 6, 3), grey, np.uint8), MASK, PREDICTION)
    assert result.shape == (1, 6, 3)
    for x, colour in enumerate((TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)):
        mixed = [(1 - OPACITY) * grey + OPACITY * channel for channel in colour]
        assert result[0, x].tolist() == pytest.approx(mixed, abs=0.51)
    assert result[0, 3:].tolist() == [[grey] * 3] * 3


def test_the_picture_under_it_loses_its_colour():
    result = overlay(np.full((1, 6, 3), (255, 0, 0), np.uint8), MASK, PREDICTION)
    assert result[0, 3].tolist() == [76, 76, 76]  # ITU-R 601 luma of red


def test_the_three_colours_differ_in_lightness_too():
    luma = [np.dot(colour, (0.299, 0.587, 0.114)) for colour in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)]
    assert min(np.diff(sorted(luma))) > 30


def test_a_picture_and_an_overview_are_written_whole(tmp_path):
    seen, mask = np.full((16, 16, 3), 90, np.uint8), np.ones((40, 60), np.uint8)
    pair = write_picture(tmp_path / "one.png", seen, mask, mask == 1, "cat_1", 1.0)
    assert [tile.pixels.shape for tile in pair] == [(107, 160, 3)] * 2, "as large as on the overview"
    write_overview(tmp_path / "all.png", [pair] * 7)
    found = [round((1 - OPACITY) * 90 + OPACITY * channel) for channel in TRUE_POSITIVE]
    for name, times in (("one.png", 1), ("all.png", 7)):
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB"))
        assert (pixels == found).all(-1).sum() > 100 * 60 * times
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.png", "one.png"]
