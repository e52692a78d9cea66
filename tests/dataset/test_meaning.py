"""What the values of a set's masks mean: right, or refused with advice that leads to right masks."""

import re

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.base.errors import InputError
from segkit.dataset.decode import UnusableFile
from segkit.dataset.mask_values import Found
from segkit.dataset.meaning import decide
from tests.dataset.masks import (
    BLACK,
    BLUE,
    EXACT,
    RED,
    TRUTHS,
    WHITE,
    YELLOW,
    colours,
    encoded,
    grey,
    palette,
    read,
    refusal,
    settings,
    stored,
    truth,
)
from tests.tiny import few, many


@pytest.mark.parametrize("kind", EXACT)
def test_two_values_in_any_storage_are_background_and_foreground(tmp_path, kind):
    _, masks = read(tmp_path, stored(EXACT[kind]))
    assert all(np.array_equal(mask, true) for mask, true in zip(masks, TRUTHS, strict=True))


@many
@given(st.sampled_from(sorted(EXACT)), st.integers(0, 2**32), st.integers(8, 20), st.integers(8, 20), st.integers(1, 3))
def test_any_truth_comes_back_from_any_storage(tmp_path_factory, kind, seed, height, width, count):
    masks = list(np.random.default_rng(seed).random((count, height, width)) < 0.5)
    _, found = read(tmp_path_factory.getbasetemp(), stored(EXACT[kind], masks))
    assert all(np.array_equal(mask, true) for mask, true in zip(found, masks, strict=True))


def void(mask: np.ndarray) -> np.ndarray:
    """Along the outline."""
    return np.roll(mask, 2, 1) ^ mask


def test_255_beside_small_labels_is_void(tmp_path):
    files = stored(lambda m: encoded(np.where(void(m), 255, m).astype(np.uint8)))
    meaning, masks = read(tmp_path, files)
    assert meaning.words == "masks hold 0, 1 and 255; 255 is ignored"
    for mask, true in zip(masks, TRUTHS, strict=True):
        assert np.array_equal(mask, np.where(void(true), 255, true))


def test_the_void_of_a_palette_of_labels(tmp_path):
    table = [BLACK, (128, 0, 0), *[(9, 9, 9)] * 253, (224, 224, 192)]
    meaning, masks = read(tmp_path, stored(lambda m: encoded(palette(np.where(void(m), 255, m), *table))))
    assert meaning.words == "palette masks hold 0, 1 and 255; 255 is ignored"
    assert np.array_equal(masks[0], np.where(void(TRUTHS[0]), 255, TRUTHS[0]))


def test_one_stray_pixel_of_1_does_not_make_white_void(tmp_path):
    stray = np.asarray(grey(TRUTHS[0])).copy()
    stray[0, 0] = 1
    said = refusal(tmp_path, stored(EXACT["0 and 255"]) | {"stray": encoded(stray)})
    assert "4 hold 0 and 255 (m0, m1, m2, ...), 1 holds 0, 1 and 255 (stray); correct the masks" in said


@pytest.mark.parametrize(("border", "value"), [("foreground", 1), ("background", 0), ("ignore", 255)])
def test_trimaps_are_recognised(tmp_path, border, value):
    files = stored(lambda m: encoded(np.where(void(m), 3, np.where(m, 1, 2)).astype(np.uint8)))
    meaning, masks = read(tmp_path, files, border=border)
    assert meaning.words.startswith("trimaps: 1 is foreground, 2 background, 3 border")
    assert np.array_equal(masks[0], np.where(void(TRUTHS[0]), value, TRUTHS[0]))
    assert np.array_equal(read(tmp_path, files, border=border, ignore=(3,))[1][0] == 255, void(TRUTHS[0]))


LABELS = [np.where(true, 2, 0).astype(np.uint8) for true in TRUTHS]
for labels in LABELS:
    labels[:4, :9] = 3


def test_several_labels_are_refused_by_value_and_name(tmp_path):
    files = {f"m{number}": encoded(labels) for number, labels in enumerate(LABELS)}
    assert refusal(tmp_path, files) == (
        "data.folder.foreground: masks hold 0, 2 and 3, which does not tell what is foreground: 4 hold 0, 2 and 3 (m0, "
        "m1, m2, ...); correct the masks that are wrong, or set it to the values that are foreground, such as [3], or "
        "to nonzero if every value but 0 is; set data.folder.ignore to values that do not count"
    )
    for told, lit in (("nonzero", (2, 3)), ((2,), (2,)), ((2, 3), (2, 3)), ((0,), (0,))):
        assert np.array_equal(read(tmp_path, files, foreground=told)[1][0], np.isin(LABELS[0], lit))
    ignored = np.where(LABELS[0] == 2, 255, LABELS[0] == 3)
    assert np.array_equal(read(tmp_path, files, ignore=(2,))[1][0], ignored)
    assert np.array_equal(read(tmp_path, files, foreground=(3,), ignore=(2,))[1][0], ignored)
    assert np.array_equal(read(tmp_path, files, foreground="nonzero", ignore=(2,))[1][0], ignored)


def test_a_list_must_fit_the_masks(tmp_path):
    files = {f"m{number}": encoded(labels) for number, labels in enumerate(LABELS)}
    for key in ("foreground", "ignore"):
        assert refusal(tmp_path, files, **{key: (1, 3)}).startswith(
            f"data.folder.{key}: no mask holds 1; masks hold 0,"
        )
    assert "3 is in both foreground and ignore" in refusal(tmp_path, files, foreground=(2, 3), ignore=(3,))
    assert "masks hold 0, 2 and 3; 2 and 3 are ignored, so nothing can be" in refusal(tmp_path, files, ignore=(2, 3))
    shifted = {name: encoded(labels + 1) for name, labels in zip(files, LABELS, strict=True)}
    assert "masks hold 1, 3 and 4 and no 0, so nonzero would be all" in refusal(tmp_path, shifted, foreground="nonzero")
    assert "nonzero" not in refusal(tmp_path, shifted)


def test_values_1_and_2_alone_are_not_guessed(tmp_path):
    files = stored(lambda m: encoded(np.where(m, 1, 2).astype(np.uint8)))
    assert "masks hold 1 and 2, which does not tell what is foreground" in refusal(tmp_path, files)
    assert np.array_equal(read(tmp_path, files, foreground=(1,))[1][0], TRUTHS[0])


def test_0_and_1_in_some_masks_and_0_and_255_in_others(tmp_path):
    files = {name: EXACT[kind](TRUTHS[0]) for kind in ("0 and 1", "0 and 255") for name in (kind, f"{kind} too")}
    said = refusal(tmp_path, files)
    assert "2 hold 0 and 1 (0 and 1, 0 and 1 too), 2 hold 0 and 255 (0 and 255, 0 and 255 too)" in said
    assert "such as [1, 255], or to nonzero" in said
    for told in ((1, 255), "nonzero"):
        assert all(np.array_equal(mask, TRUTHS[0]) for mask in read(tmp_path, files, foreground=told)[1])


@pytest.mark.parametrize("count", [9, 3000])
def test_instance_ids_are_foreground_if_told_so(tmp_path, count):
    dtype = np.uint8 if count < 256 else np.uint16
    ids = [np.arange(1, 1 + true.size).reshape(true.shape) * 7 % count + 1 for true in TRUTHS]
    files = {
        f"m{n}": encoded((true * each).astype(dtype)) for n, (true, each) in enumerate(zip(TRUTHS, ids, strict=True))
    }
    assert "to nonzero if every value but 0 is" in refusal(tmp_path, files)
    assert all(map(np.array_equal, read(tmp_path, files, foreground="nonzero")[1], TRUTHS))


def test_two_colours_of_which_none_is_black_are_asked_about(tmp_path):
    """Purple and yellow, as matplotlib saves a mask."""
    purple = (68, 1, 84)
    files = stored(lambda m: encoded(colours(m, purple, YELLOW)))
    said = refusal(tmp_path, files)
    assert "masks hold #440154 and #fde725, which does not tell" in said and "such as ['#fde725'];" in said
    assert all(map(np.array_equal, read(tmp_path, files, foreground=("#fde725",))[1], TRUTHS))
    assert "list them as colours, such as ['#ff0000'], and not as numbers" in refusal(tmp_path, files, foreground=(1,))
    pal = stored(lambda m: encoded(palette(m, purple, YELLOW)))
    assert "masks hold #440154 and #fde725" in refusal(tmp_path, pal)
    for told in (("#fde725",), (1,)):
        assert all(map(np.array_equal, read(tmp_path, pal, foreground=told)[1], TRUTHS))


def test_three_colours_are_told_by_colour(tmp_path):
    other = truth(9)
    files = stored(lambda m: encoded(np.where(other[..., None], BLUE, colours(m, BLACK, RED)).astype(np.uint8)))
    assert "masks hold #000000, #000080 and #ff0000" in refusal(tmp_path, files)
    assert np.array_equal(read(tmp_path, files, foreground=("#ff0000",))[1][0], TRUTHS[0] & ~other)
    assert np.array_equal(read(tmp_path, files, ignore=("#000080",))[1][0], np.where(other, 255, TRUTHS[0]))
    assert "no mask holds #00ff00" in refusal(tmp_path, files, foreground=("#00ff00",))


def test_a_palette_of_labels_may_be_told_by_colour_or_by_number(tmp_path):
    files = {f"m{n}": encoded(palette(labels, BLACK, WHITE, RED, YELLOW)) for n, labels in enumerate(LABELS)}
    for told in ((2,), ("#ff0000",)):
        assert np.array_equal(read(tmp_path, files, foreground=told)[1][0], LABELS[0] == 2)


def test_an_index_that_has_another_colour_in_each_mask_is_no_label(tmp_path):
    """Adaptive palettes of coloured masks: the colours are the same, not their places."""
    files = {"a": encoded(palette(TRUTHS[0], BLACK, RED)), "b": encoded(palette(~TRUTHS[1], RED, BLACK))}
    assert all(map(np.array_equal, read(tmp_path, files)[1], TRUTHS))
    lit = {"a": encoded(palette(TRUTHS[0], BLACK, RED)), "b": encoded(palette(TRUTHS[1], BLACK, YELLOW))}
    assert "masks hold #000000, #fde725 and #ff0000" in refusal(tmp_path, lit)


def test_greys_and_palettes_may_be_mixed(tmp_path):
    kinds = ("0 and 255", "palette, white first", "GIF of RGB", "RGB grey", "1 bit")
    files = {kind: EXACT[kind](TRUTHS[0]) for kind in kinds}
    assert all(np.array_equal(mask, TRUTHS[0]) for mask in read(tmp_path, files)[1])
    files |= {"red": EXACT["colours"](TRUTHS[0])}
    assert (
        "5 hold #000000 and #ffffff (0 and 255, palette, white first, GIF of RGB, ...), 1 holds #000000 and #ff0000"
        in (refusal(tmp_path, files))
    )


@pytest.mark.parametrize("make", [lambda m: m * 2**24, lambda m: m * (2**24 + 1), lambda m: m * np.float32(0.1)])
def test_values_are_written_so_that_they_can_be_set(tmp_path, make):
    """Rounded to six digits, a value would be one that no mask holds."""
    other = truth(9)
    values = [make(np.where(true, 2, np.where(other, 1, 0))) for true in TRUTHS]
    values = [each.astype(np.float32 if each.dtype.kind == "f" else np.int32) for each in values]
    files = {f"m{number}": encoded(each, "TIFF") for number, each in enumerate(values)}
    (example,) = re.findall(r"such as (\[.*?\])", refusal(tmp_path, files))
    mask = read(tmp_path, files, foreground=tuple(yaml.safe_load(example)))[1][0]
    assert np.array_equal(mask, TRUTHS[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda m: Image.merge("RGBA", [*colours(m, BLACK, BLACK).split(), grey(m)]),
        lambda m: Image.merge("LA", [grey(~m), grey(m)]),
        lambda m: Image.merge("RGBA", [*colours(m, WHITE, RED).split(), grey(m)]),
    ],
    ids=["drawn in alpha", "white is clear", "white is clear, red"],
)
def test_transparency_that_tells_another_story_than_the_values_is_refused(tmp_path, make):
    with pytest.raises(UnusableFile, match="partly transparent, so what is foreground is ambiguous; save it as 8-bit"):
        read(tmp_path, {"m": encoded(make(TRUTHS[0]))})


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_the_transparent_entry_of_a_palette_must_be_black(tmp_path, image_format):
    files = {"m": encoded(palette(TRUTHS[0], WHITE, BLACK), image_format, transparency=0)}
    with pytest.raises(UnusableFile, match="partly transparent"):
        read(tmp_path, files)
    _, (mask,) = read(tmp_path, {"m": encoded(palette(TRUTHS[0], BLACK, WHITE), image_format, transparency=0)})
    assert np.array_equal(mask, TRUTHS[0])


@pytest.mark.parametrize(("value", "said"), [(0, "0"), (255, "255"), (1, "1")])
def test_masks_that_all_hold_one_value_teach_nothing(tmp_path, value, said):
    files = {"m0": encoded(np.full((9, 9), value, np.uint8)), "m1": encoded(np.full((9, 9), value, np.uint8))}
    assert refusal(tmp_path, files).startswith(f"data.folder.masks: masks hold {said}, so nothing can be learnt from")


def test_masks_of_equal_file_names_are_both_counted():
    """The files of one image may lie in two folders."""
    found = [("s: 1.png", Found("grey", values, 2, 0, values[1], False)) for values in ((0, 2), (0, 3))]
    with pytest.raises(InputError, match=r"1 holds 0 and 2 \(s: 1\.png\), 1 holds 0 and 3"):
        decide(found, settings())


VALUES = st.lists(st.sampled_from([0, 1, 2, 3, 7, 100, 128, 254, 255]), min_size=1, max_size=5, unique=True)


@few
@given(st.lists(VALUES, min_size=1, max_size=4), st.sampled_from(["auto", "nonzero", (1,), (255,), ("#ffffff",)]))
def test_any_values_have_a_meaning_or_one_line_that_leads_to_one(tmp_path_factory, sets, told):
    """The value that an example names is foreground once it is set."""
    folder = tmp_path_factory.getbasetemp()
    files = {f"m{n}": encoded(np.resize(np.uint8(values), (9, 9))) for n, values in enumerate(sets)}
    try:
        meaning, masks = read(folder, files, foreground=told)
    except InputError as error:
        assert len(str(error)) < 700 and str(error).startswith("data.folder.")
        if example := re.search(r"such as (\[[^'].*?\])", str(error)):
            chosen = tuple(yaml.safe_load(example[1]))
            _, masks = read(folder, files, foreground=chosen)
            assert any((mask == 1).any() for mask in masks)
    else:
        assert meaning.words and all(set(np.unique(mask)) <= {0, 1, 255} for mask in masks)
