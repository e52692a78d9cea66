"""Training, validation and test sets of a user's own images."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.base.params import FolderSplit
from segkit.sources.splitting import aliases_of, assign, grouped_names, groups_of
from tests.tiny import few, many

NAMES = [f"s{number:03d}" for number in range(24)]


def split(names, test=0.2, valid=0.1, group="", folder=None, without=(), ending=".png"):
    """The split of each name."""
    aliases = aliases_of({name: f"{name}{ending}" for name in (*names, *without)})
    return assign(groups_of(names, group), FolderSplit(test=test, valid=valid), folder, aliases, without)


def members(splits) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name, kind in splits.items():
        found[kind].append(name)
    return found


def refusal(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        split(*args, **kwargs)
    return str(caught.value)


def by_hash(names) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


NAME_SETS = st.sets(st.text("abc01/é ", min_size=1, max_size=8), min_size=5, max_size=60)
SHARES = st.floats(0.01, 0.45)


@many
@given(names=NAME_SETS, test=SHARES, valid=SHARES, order=st.randoms(use_true_random=False))
def test_numbers_are_exact_and_follow_the_hash_of_the_name(names, test, valid, order):
    listed = sorted(names)
    wanted = max(2, round(test * len(names))), max(1, round(valid * len(names)))
    if len(names) - sum(wanted) < 2:
        assert "are too few" in refusal(listed, test, valid)
        return
    found = split(listed, test, valid)
    ordered = by_hash(names)
    assert {*members(found)["test"]} == {*ordered[: wanted[0]]}
    assert {*members(found)["valid"]} == {*ordered[wanted[0] : sum(wanted)]}
    order.shuffle(listed)
    assert split(listed, test, valid) == found


@pytest.mark.parametrize(
    ("images", "test", "valid", "needed"), [(5, 0.6, 0.3, 17), (10, 0.6, 0.3, 17), (8, 0.7, 0.2, 19)]
)
def test_too_few_images_are_refused_with_the_number_that_is_needed(images, test, valid, needed):
    said = refusal(NAMES[:images], test, valid)
    assert f"{images} images with masks are too few for data.folder.split, which needs at least {needed}: " in said
    refusal(NAMES[: needed - 1], test, valid)
    for number in range(needed, 100):
        split([f"n{each}" for each in range(number)], test, valid)


@pytest.mark.parametrize("images", range(1, 5))
def test_fewer_than_five_images_are_refused_with_the_number_to_add(images):
    for shares in ((0.2, 0.1), (0.6, 0.3), (0.01, 0.01)):
        said = refusal(NAMES[:images], *shares)
        assert said.endswith(f"add {5 - images} or more")
        assert "shares" not in said  # lower ones would not help


SIZES = st.lists(st.integers(1, 9), min_size=3, max_size=9)


@many
@given(sizes=SIZES, test=SHARES, valid=SHARES)
def test_groups_stay_whole_and_come_as_close_to_the_share_as_possible(sizes, test, valid):
    names = [f"g{group}_{number}" for group, size in enumerate(sizes) for number in range(size)]
    try:
        found = split(names, test, valid, group="(g.+)_")
    except InputError as fault:
        assert "groups give" in str(fault)
        return
    kinds = defaultdict(set)
    for name, kind in found.items():
        kinds[name.partition("_")[0]].add(kind)
    assert all(len(kind) == 1 for kind in kinds.values())
    counts = Counter(found.values())
    assert counts["test"] >= 2 and counts["valid"] >= 1 and counts["train"] >= 2
    target = max(2, round(test * len(names)))
    sums = {sum(some) for number in range(1, len(sizes) - 1) for some in combinations(sizes, number)}
    best = max((total for total in sums if total <= target), default=min(sizes))
    assert counts["test"] == best or counts["test"] > best - max(sizes)  # where the best leaves too few groups
    assert found == split(names[::-1], test, valid, group="(g.+)_")


def test_groups_of_equal_size_give_the_exact_number():
    names = [f"p{group:02d}_{number}" for group in range(30) for number in range(4)]
    counts = Counter(split(names, group="(p..)").values())
    assert counts == {"test": 24, "valid": 12, "train": 84}


def test_four_patients_give_one_for_test_and_one_for_validation():
    names = [f"patient{group}_slice{number:02d}" for group in range(4) for number in range(12)]
    assert Counter(split(names, group=r"(patient\d+)_").values()) == {"test": 12, "valid": 12, "train": 24}


def test_a_large_group_is_taken_where_small_ones_would_leave_none():
    names = [f"{group}{number}" for group, size in (("a", 10), ("b", 5), ("c", 5)) for number in range(size)]
    found = members(split(names, test=0.5, valid=0.2, group="^(.)"))
    assert len(found["test"]) == 10 and len(found["valid"]) == 5


def test_two_groups_are_too_few():
    names = [f"{group}{number}" for group in "ab" for number in range(10)]
    assert "20 images with masks in 2 groups give" in refusal(names, group="^(.)")


@pytest.mark.parametrize(("pattern", "count"), [("^t(.+)", 24), (r"(x?)\d", 24), (r"s(0[01]\d)", 4), ("(q)|s", 24)])
def test_names_without_a_group_are_refused(pattern, count):
    said = refusal(NAMES, group=pattern)
    assert f"captures nothing in {count} of 24 names (s0" in said and said.count("s0") <= 4


@pytest.fixture
def lists(tmp_path):
    def write(**files: str):
        for name, text in files.items():
            (tmp_path / f"{name}.txt").write_bytes(text.encode())
        return tmp_path

    return write


def test_lists_name_images_in_any_usual_form(lists):
    names = ["a/one", "a/two", "b/two", "b/é", "# 3", *NAMES]
    text = "\ufeff# a comment\r\n\r\n one \na/two.png\nb\\two\n./b/e\u0301\n# 3\ns003.png"
    found = members(split(names, test="test.txt", folder=lists(test=text)))
    assert sorted(found["test"]) == ["# 3", "a/one", "a/two", "b/two", "b/é", "s003"]
    assert len(found["valid"]) == 3 and len(found["train"]) == 20


def test_both_may_be_lists_and_images_without_masks_may_be_listed(lists):
    folder = lists(test="s000\ns001\nlost\n", valid="s002\n")
    found = members(split(NAMES, "test.txt", "valid.txt", folder=folder, without=["lost"]))
    assert (found["test"], found["valid"], len(found["train"])) == (["s000", "s001"], ["s002"], 21)


@pytest.mark.parametrize(
    ("test", "valid", "said"),
    [
        ("s000\ns001\ns999\nx", "s002", "names 2 images that do not exist or are ambiguous (s999, x)"),
        ("s000\ns001\ns000.png", "s002", "names 1 images more than once (s000)"),
        ("s000\ns001", "s001", "s001 is in the lists of both test and valid"),
        ("s000", "s002", "give 22 for training, 1 for validation and 1 for the test set"),
        ("\n".join(NAMES[1:]), "s000", "give 0 for training"),
        ("s\0\n\x1b[2J", "s000", "do not exist"),
    ],
)
def test_lists_that_do_not_fit_are_refused_by_name(lists, test, valid, said):
    assert said in refusal(NAMES, "test.txt", "valid.txt", folder=lists(test=test, valid=valid))


def test_ambiguous_names_in_lists_are_refused(lists):
    assert "ambiguous (s)" in refusal(["a/s", "b/s", *NAMES], "test.txt", folder=lists(test="s"))


def test_a_list_must_be_a_text_file_in_the_folder_of_images(lists, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    lists(test="s000\ns001")
    os.mkfifo(folder / "pipe.txt")
    (folder / "latin.txt").write_bytes(b"\xe9")
    for name, reason in (
        ("../test.txt", "is not in the folder of images"),
        (str(tmp_path / "test.txt"), "is not in the folder of images"),
        ("none.txt", "no such file"),
        ("pipe.txt", "no such file"),
        ("latin.txt", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ):
        said = refusal(NAMES, name, folder=folder)
        assert reason in said and len(said) < 800


def test_a_group_that_lists_divide_is_refused(lists):
    names = [f"p{group}_{number}" for group in range(4) for number in range(4)]
    said = refusal(names, "test.txt", group="(p.)", folder=lists(test="p0_0\np0_1\np1_0\np1_1\np1_2\np1_3"))
    assert "the lists divide 1 groups of data.folder.group between splits (p0)" in said
    found = split(names, "test.txt", group="(p.)", folder=lists(test="p1_0\np1_1\np1_2\np1_3"))
    assert Counter(found.values()) == {"test": 4, "valid": 4, "train": 8}


def note(names) -> str | None:
    def feasible(groups):
        try:
            assign(groups, FolderSplit(test=0.2, valid=0.1), None, {}, ())
        except InputError:
            return False
        return True

    return grouped_names(names, split(names), feasible)


@few
@given(
    groups=st.integers(3, 8),
    size=st.integers(2, 6),
    style=st.sampled_from(["patient{}_slice{:02d}", "{}/{}", "p{}-{}", "a_b {} {}", "x/stack {}.{}", "st.{}/z_{}"]),
)
def test_names_that_look_grouped_are_told_with_a_pattern_that_works(groups, size, style):
    names = [style.format(group, number) for group in range(groups) for number in range(size)]
    said = note(names)
    pattern = re.search("set data.folder.group to '(.+)'$", said)[1]
    assert f"{groups} groups of about {size} (" in said
    found = split(names, group=pattern)
    assert len({*groups_of(names, pattern).values()}) == groups
    kinds = defaultdict(set)
    for name, kind in found.items():
        kinds[groups_of(names, pattern)[name]].add(kind)
    assert all(len(kind) == 1 for kind in kinds.values())


def test_two_eyes_of_a_person_look_grouped():
    names = [f"p{number:02d}_{eye}" for number in range(20) for eye in ("left", "right")]
    assert "names look like 20 groups of about 2 (p00, p01, p02, ...), and " in note(names)


@pytest.mark.parametrize("style", ["img_{}", "{}", "s{:03d}", "a/img_{}", "{0}_{0}", "IMG_2024_{}"])
def test_names_with_one_prefix_or_one_image_each_do_not_look_grouped(style):
    assert note([style.format(number) for number in range(30)]) is None


def test_two_groups_are_told_without_advice_that_would_be_refused():
    said = note([f"{group}_{number}" for group in ("cat", "dog") for number in range(10)])
    assert "2 groups of about 10 (cat, dog)" in said and "set data.folder.group" not in said


@pytest.mark.parametrize("style", ["{}/{:02d}", "{}_{:02d}", "{} {}"])
@pytest.mark.parametrize("kinds", [("test", "train"), ("Test", "Training", "Validation")])
def test_splits_in_names_are_told_to_need_lists(style, kinds):
    said = note([style.format(kind, number) for kind in kinds for number in range(10)])
    assert said.startswith(f"names begin with {' and '.join(kinds)}, but the splits do not follow them")
    assert "data.folder.split.test" in said
