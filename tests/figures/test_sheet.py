"""The sheets that pictures are laid out on."""

import numpy as np
import pytest

from segkit.figures.sheet import Tile, fit, mask_pixels, sheet


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
