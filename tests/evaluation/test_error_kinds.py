"""Kinds of error against a definition that walks from pixel to pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segkit.base.packed import IGNORED
from segkit.evaluation.error_kinds import ErrorKinds, error_kinds
from tests.tiny import many, quiet_torch  # noqa: F401

FOUR = [(-1, 0), (1, 0), (0, -1), (0, 1)]
EIGHT = [*FOUR, (-1, -1), (-1, 1), (1, -1), (1, 1)]
Pixels = set[tuple[int, int]]


@st.composite
def cases(draw):
    """A prediction ``bool (h, w)`` and a mask ``uint8 (h, w)`` of 0, 1 and ignored pixels."""
    shape = (draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    mask = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from((0, 0, 1, 1, IGNORED))))
    return draw(arrays.arrays(bool, shape)), mask


def pixels(where: np.ndarray) -> Pixels:
    return {(int(y), int(x)) for y, x in np.argwhere(where)}


def components(left: Pixels, steps: list[tuple[int, int]]) -> list[Pixels]:
    """Sets of pixels that can be reached from each other."""
    left, found = set(left), []
    while left:
        component, border = set(), [left.pop()]
        while border:
            y, x = border.pop()
            component.add((y, x))
            near = {(y + down, x + right) for down, right in steps} & left
            left -= near
            border += near
        found.append(component)
    return found


def by_definition(prediction: np.ndarray, mask: np.ndarray) -> ErrorKinds:
    truth, background = pixels(mask == 1), pixels(mask == 0)
    objects, parts = components(truth, EIGHT), components(pixels(prediction), EIGHT)
    height, width = mask.shape
    edge = {(y, x) for y, x in np.ndindex(mask.shape) if y in (0, height - 1) or x in (0, width - 1)}
    on_object = [sum(bool(part & each) for part in parts) for each in objects]
    return ErrorKinds(
        objects=len(objects),
        missed=on_object.count(0),
        false_alarms=sum(bool(part & background) and not part & truth for part in parts),
        holes=sum(bool(gap & truth) and not gap & (background | edge) for gap in components(pixels(~prediction), FOUR)),
        fragments=sum(max(number - 1, 0) for number in on_object),
    )


@many
@given(cases())
def test_every_kind_is_counted_as_defined(case):
    assert error_kinds(*case) == by_definition(*case)


def drawn(*lines: str) -> tuple[np.ndarray, np.ndarray]:
    """Of a drawing: # predicted and true, + predicted alone, o true alone, ? predicted and ignored, i ignored."""
    cells = np.array([list(line) for line in lines])
    return np.isin(cells, list("#+?")), np.select([np.isin(cells, list("#o")), np.isin(cells, list("?i"))], [1, 255], 0)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("##..", "##.."), {"objects": 1}),
        (("#...", ".#.."), {"objects": 1}),  # joined over a corner
        (("oo..", "oo.#"), {"objects": 2, "missed": 1}),
        (("##.+", "##..", "+..."), {"objects": 1, "false_alarms": 1}),  # the lower one touches the object
        (("#####", "#o#o#", "#####"), {"objects": 1, "holes": 2}),
        (("#o#", "###"), {"objects": 1}),  # open to the edge of the image
        (("####", "#.o#", "####"), {"objects": 1}),  # a gap of the mask, too
        (("###", "#o#", "##o"), {"objects": 1, "holes": 1}),  # a diagonal closes it
        (("##o##o##",), {"objects": 1, "fragments": 2}),
        (("#.+#", "++++"), {"objects": 2}),  # one part on two objects
        (("#?.", "..?"), {"objects": 1}),  # both pixels that are ignored belong to the object's part
        (("#.?", "#.?"), {"objects": 1}),  # a part that is ignored as a whole
        (("####", "#io#", "####"), {"objects": 1, "holes": 1}),
        (("....",), {}),
    ],
)
def test_kinds_by_hand(lines, expected):
    none = dict.fromkeys(ErrorKinds._fields, 0)
    assert error_kinds(*drawn(*lines))._asdict() == none | expected
