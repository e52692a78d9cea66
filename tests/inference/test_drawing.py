"""The mask tinted on its image."""

import numpy as np
import pytest
from PIL import Image

from segkit.inference.drawing import TINT, overlay


def test_the_foreground_is_tinted_its_edge_is_drawn_and_the_rest_is_as_it_was():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    before, mask = np.array(image), np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    drawn = np.asarray(overlay(image, mask), float)
    assert np.array_equal(drawn[~mask], before[~mask])
    assert np.array_equal(np.unique(drawn[10, 20:50], axis=0), [TINT]) and (drawn[29, 49] == TINT).all()
    inner = np.s_[11:29, 21:49]
    assert np.abs(drawn[inner] - (before[inner] + np.float64(TINT)) / 2).max() <= 1
    assert np.array_equal(image, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2000, 3)])
def test_any_size_and_a_mask_of_everything_or_nothing(size):
    image = Image.new("RGB", size, "white")
    assert np.array_equal(overlay(image, np.zeros(size[::-1], bool)), image)
    assert overlay(image, np.ones(size[::-1], bool)).size == size


def test_on_a_large_image_the_edge_is_wide_enough_to_be_seen():
    mask = np.zeros((1200, 1800), bool)
    mask[:, 900:] = True
    drawn = np.asarray(overlay(Image.new("RGB", (1800, 1200)), mask))
    assert 2 <= (drawn[600] == TINT).all(-1).sum() <= 6
