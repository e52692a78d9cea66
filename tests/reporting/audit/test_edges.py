"""Whether an outline follows the edges of an image."""

import numpy as np
import pytest

from segkit.reporting.audit.edges import CHANCE, support


def scene(side: int, dim: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture of a square, and its mask."""
    mask = np.zeros((side, side), bool)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = True
    noise = np.random.default_rng(0).integers(0, 30, (side, side, 3))
    return (dim * (np.where(mask[..., None], 180, 60) + noise)).astype(np.uint8), mask


@pytest.mark.parametrize("side", [64, 160])
def test_a_right_outline_has_more_than_one_that_is_moved(side):
    picture, mask = scene(side)
    assert support(mask, picture) > 2
    assert support(np.roll(mask, side // 8, (0, 1)), picture) < 0.6 * support(mask, picture)


def test_a_dark_image_counts_as_much():
    assert support(*reversed(scene(64, 0.2))) == pytest.approx(support(*reversed(scene(64))), rel=0.1)


def test_without_an_outline_or_an_edge_it_is_chance():
    picture, mask = scene(64)
    for none in (np.zeros_like(mask), np.ones_like(mask)):
        assert support(none, picture) == CHANCE
    assert support(mask, np.full_like(picture, 7)) == CHANCE
