"""Names of files to pairs of an image and its masks."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.sources.advice import no_pair
from segkit.sources.matching import match
from segkit.sources.pairing import Files, Match
from segkit.sources.patterns import File
from tests.tiny import few, many

NUMBERS = range(1, 13)  # without zero padding: 1 is where 10, 11 and 12 begin


def side(folder: str, places: list[str]) -> list[File]:
    return [File(Path(folder, place), place) for place in sorted(places)]


def files(images: list[str], masks: list[str] | None = None) -> Files:
    """Two folders, or one without ``masks``."""
    own = side("images", images)
    return Files(own, own, True) if masks is None else Files(own, side("masks", masks), False)


def named(pattern: str, numbers=NUMBERS) -> list[str]:
    return [pattern.replace("N", str(number)) for number in numbers]


def pairs(found: Match) -> dict[str, list[str]]:
    return {image.place: sorted(mask.place for mask in masks) for image, masks in found.pairs}


def refusal(given: Files, pattern: str = "auto") -> str:
    with pytest.raises(InputError) as caught:
        if not match(given, pattern).pairs:
            raise no_pair(given, pattern)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1200
    return str(caught.value)


KINDS = [
    ("N.png", "N.png", "{name}"),
    ("a.N.png", "a.N.png", "{name}"),
    ("IMG_N.JPG", "IMG_N.png", "{name}"),
    ("IMG_N.JPG", "img_N.PNG", "{name}"),
    ("N.png", "N_mask.png", "{name}_mask"),
    ("N.png", "N_Mask.PNG", "{name}_Mask"),
    ("N.png", "NMask.png", "{name}Mask"),
    ("N.png", "mask_N.png", "mask_{name}"),
    ("img_N.png", "mask_N.png", "img_{name} -> mask_{name}"),
    ("imageN.png", "maskN.png", "image{name} -> mask{name}"),
    ("photo N.png", "photo N seg.png", "{name} seg"),
    ("photo N.png", "photo N - mask.png", "{name} - mask"),
    ("N_image.png", "N_label.png", "{name}_image -> {name}_label"),
    ("N.png", "N_gt.bmp", "{name}_gt"),
    ("N.png", "N-groundtruth.bmp", "{name}-groundtruth"),
    ("N.png", "N_seg_mask.png", "{name}_seg_mask"),
    ("N.jpg", "N.jpg.png", "{name}.jpg -> {name}.jpg.png"),
    ("ISIC_N.jpg", "ISIC_N_segmentation.png", "{name}_segmentation"),
    ("frameN.jpg", "frameN_L.png", "{name}_L"),
    ("a/N.png", "a/N_mask.png", "{name}_mask"),
    ("N.png", "N/mask.png", "{name}/mask"),
    ("N.png", "N/cell.png", "{name}/cell"),
    ("train/images/N.png", "train/labels/N.png", "images/{name} -> labels/{name}"),
    ("N.png", "train/N_mask.png", "{name}_mask, without sub-folders"),
    ("old/N.png", "N.png", "{name}, without sub-folders"),
]


@pytest.mark.parametrize(("image", "mask", "rule"), KINDS)
def test_names_as_people_have_them(image, mask, rule):
    found = match(files(named(image), named(mask)), "auto")
    assert found.text == rule
    assert pairs(found) == {one: [other] for one, other in zip(named(image), named(mask), strict=True)}
    assert not found.images_left and not found.masks_left


@pytest.mark.parametrize(("image", "mask", "rule"), KINDS)
def test_a_rule_that_was_printed_can_be_set(image, mask, rule):
    given = files(named(image), named(mask))
    assert pairs(match(given, rule.removesuffix(", without sub-folders"))) == pairs(match(given, "auto"))


@pytest.mark.parametrize(
    ("image", "mask", "rule"),
    [
        ("N_sat.jpg", "N_mask.png", "{name}_sat -> {name}_mask"),
        ("a.N.tif", "a.N_mask.tif", "{name}_mask"),
        ("p/p_N.tif", "p/p_N_mask.tif", "{name}_mask"),
        ("images/N.png", "masks/N.png", "images/{name} -> masks/{name}"),
        ("N/image.png", "N/mask.png", "{name}/image -> {name}/mask"),
        ("N/images/N.png", "N/masks/N.png", None),
        ("img_N.png", "N.png", "img_{name} -> {name}"),
        ("N.jpg", "N.jpg.png", "{name}.jpg -> {name}.jpg.png"),
    ],
)
def test_images_and_masks_side_by_side(image, mask, rule):
    found = match(files(named(image) + named(mask)), "auto")
    assert rule in (None, found.text)
    assert pairs(found) == {one: [other] for one, other in zip(named(image), named(mask), strict=True)}
    assert not found.images_left and not found.masks_left


@pytest.mark.parametrize(
    ("image", "masks", "rule"),
    [
        ("N.png", ["N/a.png", "N/b.png"], "{name}/*"),
        ("N.png", ["N_1.png", "N_2.png"], "{name}_*"),
        ("more/N.png", ["more/N-1.png", "more/N-2.png"], "{name}-*"),
        ("img_N.png", ["mask_N_1.png", "mask_N_2.png"], "img_{name} -> mask_{name}_*"),
        ("N.png", ["N/masks/a.png", "N/masks/b.png"], "{name}/masks/*"),
    ],
)
def test_several_masks_of_an_image(image, masks, rule):
    found = match(files(named(image), [place for mask in masks for place in named(mask)]), "auto")
    assert found.text == rule
    assert pairs(found) == {
        one: sorted(others) for one, *others in zip(named(image), *(named(mask) for mask in masks), strict=True)
    }


def test_one_folder_an_image_with_a_folder_of_masks():
    found = match(files(named("N/images/N.png") + named("N/masks/a.png") + named("N/masks/b.png")), "auto")
    assert found.text == "{name}/images/* -> {name}/masks/*"
    assert pairs(found)["7/images/7.png"] == ["7/masks/a.png", "7/masks/b.png"]


def test_a_mask_belongs_to_the_longest_name_that_it_begins_with():
    found = match(files(["a.png", "a_1.png"], ["a_x.png", "a_y.png", "a_1_x.png", "a_1_y.png"]), "auto")
    assert pairs(found) == {"a.png": ["a_x.png", "a_y.png"], "a_1.png": ["a_1_x.png", "a_1_y.png"]}


def test_a_mask_of_a_mask_is_left_over():
    found = match(files(["a.png", "a_mask.png", "a_mask_mask.png", "b.png", "b_mask.png", "c.png"]), "auto")
    assert pairs(found) == {"a.png": ["a_mask.png"], "b.png": ["b_mask.png"]}
    assert [file.place for file in found.images_left] == ["c.png"]
    assert [file.place for file in found.masks_left] == ["a_mask_mask.png"]


@pytest.mark.parametrize("first", [NUMBERS[:6], NUMBERS[:11]])
def test_two_rules_are_a_mixture_and_each_can_be_set(first):
    rest = [number for number in NUMBERS if number not in first]
    given = files(named("sN.png"), named("sN.png", first) + named("sN_mask.png", rest))
    said = refusal(given)
    assert f"{len(first)} images match by {{name}} (s1.png and s1.png), {len(rest)} by {{name}}_mask (s" in said
    assert said.endswith('set data.folder.match to the right one, "{name}" or "{name}_mask"')
    for rule, numbers in (("{name}", first), ("{name}_mask", rest)):
        found = match(given, rule)
        assert len(found.pairs) == len(numbers)
        assert len(found.images_left) == len(found.masks_left) == 12 - len(numbers)


@pytest.mark.parametrize("more", ["s3_mask.png", "mask_s3.png", "s3_old.png", "s3/a.png"])
def test_a_second_mask_is_never_passed_over(more):
    assert "the names follow two rules" in refusal(files(named("sN.png"), [*named("sN.png"), more]))


def test_a_mask_in_the_wrong_sub_folder_is_named():
    said = refusal(files(named("N.png"), [*named("N.png", range(1, 12)), "more/12.png"]))
    assert "image 12.png and mask more/12.png match by name" in said


def test_equal_names_in_other_sub_folders_are_no_pair():
    given = files(["p1/1.png", "p1/2.png", "p2/1.png"], ["p1/1.png", "p2/1.png", "p2/2.png"])
    found = match(given, "auto")
    assert [file.place for file in found.images_left] == ["p1/2.png"]
    assert [file.place for file in found.masks_left] == ["p2/2.png"]
    assert "no image matches a mask" in refusal(
        files(["a/1.png", "b/1.png", "a/2.png"], ["c/1.png", "d/1.png", "c/2.png"])
    )


def test_the_same_name_twice_is_refused_unless_double_endings_tell_them_apart():
    images = ["a.jpg", "a.png", "b.jpg"]
    said = refusal(files(images, ["a.png", "b.png"]))
    assert said.startswith("data.folder: a.jpg and a.png have the same name by the rule {name}")
    assert "x.gif and x.png have the same name" in refusal(files(["x.png", "y.png"], ["x.png", "x.gif", "y.png"]))
    found = match(files(images, [f"{place}.png" for place in images]), "auto")
    assert pairs(found) == {place: [f"{place}.png"] for place in images}


def test_case_counts_only_where_it_decides():
    assert pairs(match(files(["A.png", "a.png"], ["a.png", "A.png"]), "auto")) == {
        "A.png": ["A.png"],
        "a.png": ["a.png"],
    }
    found = match(files(["A.png", "a.png", "B.png"], ["a.png", "b.png"]), "auto")
    assert pairs(found) == {"a.png": ["a.png"], "B.png": ["b.png"]}
    assert [file.place for file in found.images_left] == ["A.png"]


ADVICE = [
    ("scan_N.png", "truthN.png", "scan_{name} -> truth{name}"),
    ("N_training.tif", "N_manual1.gif", "{name}_training -> {name}_manual1"),
    ("aachen/aachen_0N_leftImg8bit.png", "aachen/aachen_0N_gtFine_labelIds.png", None),
    ("catN.png", "outlineN.png", None),
    ("N_x.png", "N_y.png", "{name}_x -> {name}_y"),
]


@pytest.mark.parametrize(("image", "mask", "rule"), ADVICE)
@pytest.mark.parametrize("pattern", ["auto", "{name}_nothing"])
def test_advice_where_no_rule_is_known_works_when_followed(image, mask, rule, pattern):
    given = files(named(image), named(mask))
    said = refusal(given, pattern)
    advised = re.search('; set data.folder.match to "(.+)"$', said)[1]
    assert rule in (None, advised)
    for place in (*sorted(named(image))[:3], *sorted(named(mask))[:3]):
        assert place in said
    assert pairs(match(given, advised)) == {one: [two] for one, two in zip(named(image), named(mask), strict=True)}


@pytest.mark.parametrize(
    ("image", "mask", "rule"),
    [("N.jpg", "N.png", "{name}.jpg -> {name}.png"), ("frameN.png", "frameN_L.png", "{name}_L")],
)
def test_in_one_folder_a_guess_is_advised_and_not_made(image, mask, rule):
    given = files(named(image) + named(mask))
    assert refusal(given).endswith(f'set data.folder.match to "{rule}"')
    assert pairs(match(given, rule)) == {one: [two] for one, two in zip(named(image), named(mask), strict=True)}


def test_several_masks_in_one_folder_can_be_set():
    given = files(named("N.png") + named("N_1.png") + named("N_1_2.png"))
    assert pairs(match(given, "{name}_*")) == {f"{n}.png": [f"{n}_1.png", f"{n}_1_2.png"] for n in NUMBERS}


def test_files_of_several_kinds_for_each_image_get_one_of_them_as_advice():
    masks = [place for kind in ("color", "labelIds", "instanceIds") for place in named(f"x_N_gtFine_{kind}.png")]
    assert refusal(files(named("x_N_leftImg8bit.png"), masks)).endswith(
        'set data.folder.match to "{name}_leftImg8bit -> {name}_gtFine_labelIds"'
    )


def test_swapped_folders_are_named():
    assert "the folders look swapped" in refusal(files(named("N_mask.png"), named("N.png")))


def test_names_that_have_nothing_in_common_are_shown():
    said = refusal(files(["apple.png", "pear.png"], ["car.png", "dog.png"]))
    assert "images apple.png, pear.png, masks car.png, dog.png; set data.folder.match to how" in said


TABLE = {
    "{n}.png": ["{n}.png", "{n}_mask.png", "mask_{n}.png", "{n}.label.png", "{n}/*.png", "{n}_*.png", "{n}-*.png"],
    "{n}.jpg": ["{n}.jpg.png", "{n}_Seg.png", "{n} gt.png"],
    "img_{n}.png": ["mask_{n}.png", "{n}.png", "gt-{n}.png"],
    "{n}_image.png": ["{n}_label.png", "{n}.png"],
}
RULES = [(image, mask) for image, masks in TABLE.items() for mask in masks]
# No letters that make a word of the table, and none of the masks' own (a, b).
BASES = st.text("xyz019é_-. ", min_size=1, max_size=6).filter(lambda text: not text.startswith("."))
PLACES = st.builds("/".join, st.lists(BASES, min_size=1, max_size=2))
SETS = st.lists(PLACES, min_size=2, max_size=8, unique_by=lambda text: unicodedata.normalize("NFC", text).casefold())


def written(pattern: str, place: str) -> str:
    folder, slash, base = place.rpartition("/")
    return folder + slash + pattern.replace("{n}", base)


@many
@given(names=SETS, rule=st.sampled_from(RULES), shuffled=st.randoms(use_true_random=False))
def test_any_names_by_any_known_rule_give_exactly_the_true_pairs(names, rule, shuffled):
    names = [unicodedata.normalize("NFC", name) for name in names]
    truth = {
        written(rule[0], name): sorted(
            written(rule[1], name).replace("*", mark) for mark in ("a", "b")[: 1 + ("*" in rule[1])]
        )
        for name in names
    }
    masks = [mask for each in truth.values() for mask in each]
    assume(len({*masks}) == len(masks))
    found = match(files(list(truth), masks), "auto")
    assert pairs(found) == truth
    given = [*truth], [*masks]
    for places in given:
        shuffled.shuffle(places)
    assert pairs(match(files(*given), "auto")) == truth


@many
@given(
    names=st.lists(st.text("xyz019é", min_size=1, max_size=6), min_size=4, max_size=12, unique=True),
    rule=st.sampled_from(RULES),
    data=st.data(),
)
def test_what_is_missing_on_one_side_is_left_over_on_the_other(names, rule, data):
    lost = st.sets(st.sampled_from(names), max_size=len(names) // 2 - 1)
    images = {name: written(rule[0], name) for name in names}
    masks = {name: written(rule[1], name).replace("*", "a") for name in names}
    without, alone = data.draw(lost), data.draw(lost)
    for name in without:
        del masks[name]
    for name in alone:
        del images[name]
    assume(images.keys() & masks.keys())
    found = match(files([*images.values()], [*masks.values()]), "auto")
    both = images.keys() & masks.keys()
    assert pairs(found) == {images[name]: [masks[name]] for name in both}
    assert {file.place for file in found.images_left} == {images[name] for name in images.keys() - both}
    assert {file.place for file in found.masks_left} == {masks[name] for name in masks.keys() - both}


@few
@given(images=st.lists(PLACES, max_size=6, unique=True), masks=st.lists(PLACES, max_size=6, unique=True))
def test_no_names_end_in_anything_but_pairs_or_one_line(images, masks):
    given = files([f"{place}.png" for place in images], [f"{place}.png" for place in masks])
    try:
        found = match(given, "auto")
        if not found.pairs:
            raise no_pair(given, "auto")
    except InputError as fault:
        assert str(fault).isprintable()
    else:
        paired = [image for image, _ in found.pairs] + [mask for _, each in found.pairs for mask in each]
        assert len(paired) + len(found.images_left) + len(found.masks_left) == len(images) + len(masks)
