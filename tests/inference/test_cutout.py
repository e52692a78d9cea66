"""A known foreground over a known background, with known opacity: the cutout gives the foreground back."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from segkit.inference import cutout as module
from segkit.inference.cutout import cutout
from tests.tiny import few

WIDTH, HEIGHT = 240, 180
GREEN = np.float32([20, 160, 60])


def opacity(draw: Callable[[ImageDraw.ImageDraw], None], blur: float = 1.5) -> np.ndarray:
    """``float32 (h, w)``: what ``draw`` draws, with soft edges."""
    shape = Image.new("L", (WIDTH, HEIGHT))
    draw(ImageDraw.Draw(shape))
    return np.asarray(shape.filter(ImageFilter.GaussianBlur(blur)), np.float32) / 255


def disc(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((60, 40, 180, 150), fill=255)


def sticks(draw: ImageDraw.ImageDraw) -> None:
    for x in range(30, WIDTH, 60):
        draw.line((x, 20, x, 160), fill=255, width=5)


def mixed(alpha: np.ndarray, foreground: np.ndarray, background: np.ndarray) -> Image.Image:
    shares = alpha[..., None]
    return Image.fromarray(np.rint(shares * foreground + (1 - shares) * background).astype(np.uint8))


def as_probabilities(alpha: np.ndarray, threshold: float) -> np.ndarray:
    """Those that the cutout takes for this opacity."""
    return np.interp(alpha, (0, 1), (threshold / 2, (1 + threshold) / 2)).astype(np.float32)


def textured() -> np.ndarray:
    """Colours that change from place to place: ``float32 (h, w, 3)``, orange to brown."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 30
    return np.float32([230, 150, 60]) - 40 * (1 + np.sin(x) * np.cos(y))[..., None].astype(np.float32)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_the_foreground_is_found_again_without_the_old_background(threshold):
    alpha, foreground = opacity(disc), textured()
    image = mixed(alpha, foreground, GREEN)
    result = np.asarray(cutout(image, as_probabilities(alpha, threshold), threshold), np.float32)
    colours, found = result[..., :3], result[..., 3] / 255
    assert found == pytest.approx(alpha, abs=0.06)  # nearly opaque pixels are made opaque
    edge = (found > 0) & (found < 1)
    assert edge.sum() > 500
    halo = np.abs(np.asarray(image, np.float32) - foreground)[edge].mean()
    assert np.abs(colours - foreground)[edge].mean() < halo / 4
    again = mixed(found, colours, GREEN)
    assert np.abs(np.asarray(again, np.float32) - image)[edge].mean() < 6
    assert np.array_equal(colours[alpha == 1], np.asarray(image)[alpha == 1])
    assert not colours[found == 0].any()  # nothing of the background is left in the file


def test_what_is_too_thin_to_be_certain_keeps_its_colour():
    """Neither black nor the colour of something else in the image."""
    alpha, sand = opacity(sticks, blur=1), np.float32([230, 200, 170])
    image = mixed(alpha, sand, GREEN)
    colours = np.asarray(cutout(image, as_probabilities(alpha, 0.5), 0.5), np.float32)[..., :3]
    edge = (alpha > 0.05) & (alpha < 1)
    halo = np.abs(np.asarray(image, np.float32) - sand)[edge].mean()
    assert np.abs(colours - sand)[edge].mean() < halo / 4


def test_thin_gaps_are_clear_and_their_rims_keep_the_colour_of_the_foreground():
    alpha, foreground = 1 - opacity(sticks, blur=1), np.float32([200, 90, 30])
    image = mixed(alpha, foreground, GREEN)
    result = np.asarray(cutout(image, as_probabilities(alpha, 0.5), 0.5), np.float32)
    rim = (alpha > 0.05) & (alpha < 1)
    assert result[..., 3][alpha < 0.01].max(initial=0) < 5
    assert np.abs(result[..., :3] - foreground)[rim].mean() < 20


def test_doubts_far_from_the_edge_leave_no_hole_and_no_speck():
    probabilities = np.zeros((HEIGHT, WIDTH), np.float32)
    probabilities[:, 120:] = 1
    probabilities[80:100, 190:210] = 0.6  # above the threshold, though not sure
    probabilities[80:100, 30:50] = 0.4
    alpha = np.asarray(cutout(Image.new("RGB", (WIDTH, HEIGHT), "red"), probabilities, 0.5))[..., 3]
    assert (alpha[:, 120:] == 255).all() and (alpha[:, :120] == 0).all()


@few
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_any_size_and_any_probabilities(width, height, seed):
    numbers = np.random.default_rng(seed)
    image = Image.fromarray(numbers.integers(0, 256, (height, width, 3), np.uint8))
    result = cutout(image, numbers.random((height, width), np.float32), 0.5)
    assert (result.mode, result.size) == ("RGBA", image.size)
    whole, nothing = (np.full((height, width), value, np.float32) for value in (1, 0))
    assert np.array_equal(np.asarray(cutout(image, whole, 0.5))[..., :3], image)
    assert np.asarray(cutout(image, whole, 0.5).getchannel("A")).min() == 255
    assert not np.asarray(cutout(image, nothing, 0.5)).any()


def test_strips_do_not_show(monkeypatch):
    alpha = opacity(disc)
    arguments = mixed(alpha, textured(), GREEN), as_probabilities(alpha, 0.5), 0.5
    whole = np.asarray(cutout(*arguments), int)
    for lines in (7, 64):
        monkeypatch.setattr(module, "STRIP", lines)
        assert np.abs(np.asarray(cutout(*arguments), int) - whole).max() <= 2
