"""Figures as they are inside the page."""

import re
from xml.etree import ElementTree

import numpy as np

from segkit.reporting.page.drawing import FIRST, ROLES, colour, dots, drawing, legend


def draw(count: int = 50) -> str:
    with drawing(xlabel="<x> & y") as drawn:
        x, y = np.random.default_rng(0).random((2, count))
        drawn.axes.plot(x, y, "o-", color=FIRST, label="a")
        dots(drawn.axes, x, y, colour(1))
        legend(drawn.axes)
    return str(drawn.svg)


def test_colours_are_those_of_the_page():
    svg = draw()
    assert {name for name in ROLES if f"var(--{name})" in svg} >= {"ink", "muted", "grid", "first", "second"}
    assert not re.findall(r"(?:fill|stroke): #", svg)
    assert "<style" not in svg  # it would hold for the whole page


def test_text_stays_text_in_the_font_of_the_page_and_is_escaped():
    svg = draw()
    assert "&lt;x&gt; &amp; y" in svg
    assert "font-size: 11px" in svg and "DejaVu" not in svg


def test_coordinates_are_hundredths_of_a_pixel_but_a_name_is_whole():
    with drawing(xlabel="v1.23456") as drawn:
        drawn.axes.plot([0, 1 / 3, 1], [0, 2 / 3, 1])
    assert "v1.23456" in drawn.svg
    assert not re.search(r'"[^"<>]*\d\.\d{3}[^"<>]*"', drawn.svg)


def test_the_same_numbers_give_the_same_figure():
    assert draw() == draw()


def test_ids_are_those_that_are_used_and_differ_between_figures():
    first, second = (re.findall(r' id="([^"]+)"', draw(count)) for count in (20, 21))
    assert first and all(f"#{name}" in draw(20) for name in first)
    assert not set(first) & set(second)


def test_thousands_of_points_are_small_and_all_there():
    svg = draw(3669)
    ElementTree.fromstring(svg)
    path = max(re.findall(r' d="([^"]+)"', svg), key=lambda path: path.count("M"))
    assert path.count("M") == 3669
    assert len(path) < 75_000
