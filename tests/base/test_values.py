"""How a user's own folder is described in params.yaml: each kind of value is what it says, or refused in words."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base import params
from segkit.base.errors import InputError
from tests.tiny import changed, many


def folder(key: str, value: Any) -> Any:
    """The value of ``data.folder.KEY`` as the stages see it."""
    found = params.parse(changed({f"data.folder.{key}": value})).data.folder
    for part in key.split("."):
        found = getattr(found, part)
    return found


def refusal(key: str, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        folder(key, value)
    return str(caught.value)


TEXTS = {
    "match": ["auto", "{name}", "{name}_mask", "img_{name} -> mask_{name}", "{name}.jpg"],
    "group": ["", r"(patient\d+)_", "(?:left|right)_(.*)", r"^(.{3})", "([()])"],
    "pages": ["first", "all"],
}


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, texts in TEXTS.items() for text in texts])
def test_texts_are_taken_as_they_are(key, text):
    assert folder(key, text) == text


@pytest.mark.parametrize("text", ["", "mask", "Auto", "{name}_{name}", "a -> {name}", "{name} -> b", "{name}->{name}",
                                  "{name} -> {name} -> {name}", "{nam}_mask", "auto_mask"])  # fmt: skip
def test_a_pattern_without_one_name_a_side_is_refused(text):
    said = refusal("match", text)
    assert "data.folder.match: must be auto, or a pattern such as {name}_mask or img_{name} -> mask_{name}" in said


@pytest.mark.parametrize("text", ["patient", "(a)(b)", "(?:a)", "((a))"])
def test_a_group_needs_one_pair_of_parentheses(text):
    assert "data.folder.group: needs exactly one pair of parentheses" in refusal("group", text)


@pytest.mark.parametrize("text", ["(", "*(a)", "(?P<1>a)", "[(a)", "(a){99999999999999}", "(" * 3000])
def test_what_is_no_regular_expression_is_refused(text):
    said = refusal("group", text)
    assert "data.folder.group: is not a regular expression (" in said and len(said) < 500


@pytest.mark.parametrize("value", [0.2, 0.8, "test.txt", "lists/test.txt"])
def test_a_split_is_a_fraction_or_a_list(value):
    assert folder("split.test", value) == value


@pytest.mark.parametrize("value", [0, -0.1, 0.91, 1, math.nan, math.inf, True, "", None, [0.2], {}])
def test_what_is_neither_a_fraction_nor_a_list_is_refused(value):
    assert "data.folder.split.test: must be a fraction above 0 and at most 0.9, or a file with" in refusal(
        "split.test", value
    )


def test_test_and_validation_leave_a_training_set():
    assert folder("split", {"test": 0.5, "valid": 0.4}).valid == 0.4
    assert folder("split", {"test": "test.txt", "valid": 0.9}).valid == 0.9
    said = refusal("split", {"test": 0.5, "valid": 0.5})
    assert "data.folder.split.valid: test and valid together must be at most 0.9; lower one of them" in said


@pytest.mark.parametrize("value", [[1], [0, 255], [2.5], [-1], ["#ff0000"], [1, "#00ff7f"]])
def test_values_of_masks_are_numbers_or_colours(value):
    assert folder("foreground", value) == folder("ignore", value) == tuple(value)


def test_foreground_may_be_found_out_and_nothing_need_be_ignored():
    assert folder("foreground", "auto") == "auto" and folder("foreground", "nonzero") == "nonzero"
    assert folder("ignore", []) == ()


@pytest.mark.parametrize(
    "value", [[True], ["255"], ["#FF0000"], ["#f00"], [None], [[1]], [math.nan], [math.inf], [2**53]]
)
@pytest.mark.parametrize("key", ["foreground", "ignore"])
def test_other_values_of_masks_are_refused(key, value):
    assert f"data.folder.{key}: must be a list of numbers or of colours such as '#ff0000'" in refusal(key, value)


@pytest.mark.parametrize("value", [[], "255", 255, "all", None, {"a": 1}])
def test_foreground_must_be_something(value):
    assert "data.folder.foreground: must be auto, nonzero or a list of values" in refusal("foreground", value)


@pytest.mark.parametrize("value", [[0, 4095], [-1024, 3071.5], [0.0, 1.0]])
def test_a_range_has_two_ends(value):
    assert folder("range", value) == tuple(value)


NO_RANGES = [[], [1], [0, 1, 2], [5, 5], [9, 1], ["a", "b"], [0, True], [0, math.inf], [math.nan, 1], "full", 255, None]


@pytest.mark.parametrize("value", NO_RANGES)
def test_a_range_without_two_ends_in_order_is_refused(value):
    assert "data.folder.range: must be auto or [darkest, brightest], not " in refusal("range", value)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
KEYS = ["match", "group", "pages", "split", "split.test", "split.valid", "foreground", "ignore", "range"]


@many
@given(st.sampled_from(KEYS), ANY)
def test_any_value_is_taken_or_refused_in_one_line(key, value):
    try:
        folder(key, value)
    except InputError as error:
        assert f"data.folder.{key}" in str(error) and str(error).isprintable()
