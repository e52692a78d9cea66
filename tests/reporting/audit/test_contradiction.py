"""The score of the audit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segkit.reporting.audit.contradiction import contradiction

SIDE = 48


def disc(radius: float, softness: float, side: int = SIDE) -> np.ndarray:
    """Probabilities of a disc in the middle, less sure near its edge."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return 1 / (1 + np.exp((np.hypot(x, y) - radius) / softness))


def score(probabilities: np.ndarray, mask: np.ndarray, picture: np.ndarray | None = None) -> float:
    """Of a picture without edges, unless there is one."""
    picture = np.full((*mask.shape, 3), 90, np.uint8) if picture is None else picture
    return contradiction(torch.from_numpy(probabilities.astype(np.float32)), mask.astype(np.uint8), picture).score


@given(st.integers(0, 2**32), st.floats(0.3, 8))
def test_a_mask_drawn_from_the_probabilities_scores_about_zero(seed, softness):
    p = disc(30, softness, 160)
    assert score(p, np.random.default_rng(seed).random(p.shape) < p) == pytest.approx(0, abs=0.05)


def test_an_unsure_network_contradicts_less():
    mask = np.roll(disc(14, 1) > 0.5, 12, axis=1)
    assert score(disc(14, 1), mask) > 2 * score(disc(14, 8), mask)


def test_every_kind_of_fault_scores_more_than_a_right_mask():
    p, right = disc(14, 1.5), disc(14, 1) > 0.5
    half = right & (np.arange(SIDE) < SIDE / 2)
    faults = (~right, np.zeros_like(right), half, np.roll(right, 10, 0), disc(20, 1) > 0.5, disc(9, 1) > 0.5)
    assert score(p, right) < 0.02 and min(score(p, fault) for fault in faults) > 0.1


def test_a_mask_along_the_edges_of_its_image_is_trusted_more():
    """The network is wrong: the object is elsewhere."""
    mask = np.roll(disc(14, 1) > 0.5, 8, axis=1)
    noise = np.random.default_rng(0).integers(0, 20, (SIDE, SIDE, 3))
    picture = (np.where(mask[..., None], 180, 60) + noise).astype(np.uint8)
    elsewhere = np.roll(picture, -8, axis=1)
    assert score(disc(14, 1), mask, picture) < 0.6 * score(disc(14, 1), mask, elsewhere)


def test_an_object_that_the_network_does_not_see_is_a_contradiction():
    """Without foreground, Dice has no meaning of its own."""
    nothing = np.full((SIDE, SIDE), 1e-4)
    assert score(nothing, disc(14, 1) > 0.5) > 0.8
    assert score(nothing, np.zeros((SIDE, SIDE))) == pytest.approx(0, abs=0.02)


def test_ignored_pixels_do_not_count():
    p, mask = disc(14, 2), (disc(14, 1) > 0.5).astype(np.uint8)
    half = mask.copy()
    half[:, SIDE // 2 :] = 255
    assert score(p, half) == pytest.approx(score(p[:, : SIDE // 2], mask[:, : SIDE // 2]), rel=1e-6)
    assert score(p, np.full_like(mask, 255)) == 0


@pytest.mark.parametrize(
    ("fault", "reading"),
    [
        (lambda mask: mask, "small differences"),
        (lambda mask: np.zeros_like(mask), "the mask lacks"),
        (lambda mask: ~mask, "little in common"),
        (lambda mask: disc(22, 1) > 0.5, "of the mask is background"),
    ],
)
def test_the_reading_says_how_the_mask_differs(fault, reading):
    mask, probabilities = fault(disc(14, 1) > 0.5), torch.from_numpy(disc(14, 0.5).astype(np.float32))
    assert reading in contradiction(probabilities, mask.astype(np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8)).reading
