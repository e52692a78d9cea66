"""The colours of an overlay, and the sheets that pictures are laid out on."""

import numpy as np
import pytest
from PIL import Image

from segkit.drawing import Tile, fit, mask_pixels, sheet
from segkit.evaluation.originals import Original
from segkit.evaluation.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    OPACITY,
    TRUE_POSITIVE,
    overlay,
    write_overview,
    write_picture,
)

# one pixel of each kind: found, false alarm, missed, rightly left, ignored and claimed, ignored and left
MASK = np.array([[1, 0, 1, 0, 255, 255]], np.uint8)
PREDICTION = np.array([[True, True, False, False, True, False]])


@pytest.mark.parametrize("grey", [0, 100, 255])
def test_found_missed_and_made_up_have_their_colours_and_all_else_is_grey(grey):
    result = overlay(Image.new("RGB", (6, 1), (grey, grey, grey)), MASK, PREDICTION)
    assert result.shape == (1, 6, 3)
    for x, colour in enumerate((TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)):
        mixed = [(1 - OPACITY) * grey + OPACITY * channel for channel in colour]
        assert result[0, x].tolist() == pytest.approx(mixed, abs=0.51)
    assert result[0, 3:].tolist() == [[grey] * 3] * 3


def test_the_picture_under_it_loses_its_colour():
    result = overlay(Image.new("RGB", (6, 1), (255, 0, 0)), MASK, PREDICTION)
    assert result[0, 3].tolist() == [76, 76, 76]  # ITU-R 601 luma of red


def test_the_three_colours_differ_in_lightness_too():
    luma = [np.dot(colour, (0.299, 0.587, 0.114)) for colour in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)]
    assert min(np.diff(sorted(luma))) > 30


def test_a_picture_and_an_overview_are_written_whole(tmp_path):
    original = Original(Image.new("RGB", (60, 40), (90, 90, 90)), np.ones((40, 60), np.uint8))
    pair = write_picture(tmp_path / "one.png", original, np.ones((40, 60), bool), "cat_1", 1.0)
    write_overview(tmp_path / "all.png", [pair] * 7)
    found = [round((1 - OPACITY) * 90 + OPACITY * channel) for channel in TRUE_POSITIVE]
    for name, times in (("one.png", 1), ("all.png", 7)):
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB"))
        assert (pixels == found).all(-1).sum() > 100 * 60 * times
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.png", "one.png"]


def test_masks_are_shown_black_white_and_grey():
    assert mask_pixels(np.array([[0, 1, 255]], np.uint8)).tolist() == [[0, 255, 128]]


@pytest.mark.parametrize(("shape", "size"), [((30, 60), (40, 20)), ((60, 30), (20, 40)), ((1, 400), (40, 1))])
def test_pictures_are_fitted_without_distortion(shape, size):
    assert fit(np.zeros((*shape, 3), np.uint8), 40).size == size


def test_masks_keep_hard_edges_when_enlarged():
    assert set(np.unique(np.asarray(fit(np.array([[0, 255]], np.uint8), 64)))) == {0, 255}


def test_a_sheet_holds_every_tile():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    tiles = [Tile(np.full((20, 20, 3), colour, np.uint8), "caption") for colour in colours]
    pixels = np.asarray(sheet([tiles[:2], tiles[2:]], tile=20, title="title", legend=[("name", (1, 2, 3))]))
    for colour in colours:
        assert (pixels == colour).all(-1).sum() == 400
    assert (pixels == (1, 2, 3)).all(-1).sum() > 50


def test_a_caption_too_long_for_its_tile_is_cut():
    long = "a very long name of a picture " * 5
    assert (
        sheet([[Tile(np.zeros((9, 9), np.uint8), long)]], tile=60).size
        == sheet([[Tile(np.zeros((9, 9), np.uint8), "a")]], tile=60).size
    )


def test_a_caption_that_no_tile_can_hold_does_not_hang():
    assert sheet([[Tile(np.zeros((4, 4), np.uint8), "long")]], tile=6).width == 18
