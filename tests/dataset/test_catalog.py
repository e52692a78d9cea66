"""Which samples there are, and which split each belongs to."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.dataset.catalog import read_catalog
from tests.tiny import few


@pytest.fixture
def lists(tmp_path):
    """Write trainval.txt and test.txt; give the raw folder."""

    def write(trainval: str | None, test: str | None = "t_1 1 1 1\n"):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for name, text in (("trainval", trainval), ("test", test), ("list", "")):
            if text is not None:
                (tmp_path / "annotations" / f"{name}.txt").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def split_names(raw) -> dict[str, list[str]]:
    found = {"train": [], "valid": [], "test": []}
    for sample in read_catalog(raw, 10):
        found[sample.split].append(sample.name)
    return found


def test_every_tenth_of_trainval_starting_with_the_first_is_validation(lists):
    found = split_names(lists("".join(f"a_{i} 1 1 1\n" for i in range(25))))
    assert found["valid"] == ["a_0", "a_10", "a_20"]
    assert found["train"] == [f"a_{i}" for i in range(25) if i not in (0, 10, 20)]
    assert found["test"] == ["t_1"]


def test_a_byte_order_mark_is_no_part_of_a_name(lists):
    assert split_names(lists("\ufeffa_0 1 1 1\na_1 1 1 1\n"))["valid"] == ["a_0"]


@pytest.mark.parametrize(("trainval", "train", "valid"), [(3680, 3312, 368), (2, 1, 1), (10, 9, 1), (11, 9, 2)])
def test_the_sizes_of_the_splits(lists, trainval, train, valid):
    found = split_names(lists("".join(f"a_{i}\n" for i in range(trainval))))
    assert (len(found["train"]), len(found["valid"])) == (train, valid)


@few
@given(
    st.lists(
        st.from_regex(r"[A-Za-z][\w.-]{0,8}", fullmatch=True, alphabet=st.characters(max_codepoint=127)),
        min_size=3,
        unique=True,
    )
)
def test_every_name_is_in_one_split_in_the_order_of_the_file(tmp_path_factory, names):
    raw = tmp_path_factory.mktemp("raw")
    (raw / "annotations").mkdir()
    (raw / "annotations" / "trainval.txt").write_text("\n".join(names[1:]))
    (raw / "annotations" / "test.txt").write_text(names[0])
    found = split_names(raw)
    assert sorted(name for chosen in found.values() for name in chosen) == sorted(names)
    assert all(chosen == sorted(chosen, key=names.index) for chosen in found.values())


def test_the_splits_come_in_a_fixed_order_with_paths_and_breeds(lists):
    raw = lists("Abyssinian_10 1 1 1\namerican_bulldog_7 25 2 1\n")
    first, second, third = read_catalog(raw, 10)
    assert [sample.split for sample in (first, second, third)] == ["train", "valid", "test"]
    assert (first.name, first.group) == ("american_bulldog_7", "american_bulldog")
    assert second.picture == raw / "images" / "Abyssinian_10.jpg"
    assert second.masks == (raw / "annotations" / "trimaps" / "Abyssinian_10.png",)


def test_comments_blank_lines_and_other_columns_are_left_out(lists):
    raw = lists("#Image CLASS-ID\n#more\n\na_1 1 1 1\n   \nb_2\t2 1 2\r\n")
    assert split_names(raw) == {"train": ["b_2"], "valid": ["a_1"], "test": ["t_1"]}


def test_a_name_without_a_number_has_no_breed(lists):
    assert {sample.group for sample in read_catalog(lists("one\ntwo\n", "three\n"), 10)} == {""}


@pytest.mark.parametrize(
    ("trainval", "test"), [("a_1\nb_1\na_1\n", "t_1\n"), ("a_1\nb_1\n", "a_1\n"), ("a_1\nb_1\n", "a_1\na_1\n")]
)
def test_a_duplicate_name_is_refused(lists, trainval, test):
    with pytest.raises(InputError, match=r"1 names are listed more than once .*\(a_1\): a test image must not"):
        read_catalog(lists(trainval, test), 10)


@pytest.mark.parametrize(
    ("trainval", "test", "which"), [("", "t_1", "train"), ("a_1", "t_1", "train"), ("a\nb", "#", "test")]
)
def test_an_empty_split_is_refused(lists, trainval, test, which):
    with pytest.raises(InputError, match=f"the {which} set is empty"):
        read_catalog(lists(trainval, test), 10)


@pytest.mark.parametrize(("trainval", "test", "missing"), [(None, "t_1", "trainval"), ("a\nb", None, "test")])
def test_a_missing_list_is_named(lists, trainval, test, missing):
    with pytest.raises(
        InputError, match=rf"annotations/{missing}\.txt cannot be read .*run 'dvc repro download' again"
    ):
        read_catalog(lists(trainval, test), 10)


def test_a_list_that_is_no_text_is_refused(lists):
    raw = lists("a\nb")
    (raw / "annotations" / "trainval.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"trainval\.txt cannot be read"):
        read_catalog(raw, 10)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../../etc/passwd", "points to another folder"),
        ("/etc/passwd", "points to another folder"),
        ("a/b", "points to another folder"),
        ("..", "points to another folder"),
        ("c:\\a", "points to another folder"),
        ("a\0b", "contains unprintable characters"),
        ("a\x1b[2Jb", "contains unprintable characters"),
        ("a" * 251, "is longer than 250 bytes"),
        ("ü" * 126, "is longer than 250 bytes"),
        ("a" * 10**7, "is longer than 250 bytes"),
    ],
    ids=lambda value: ascii(value[:12]),
)
@pytest.mark.parametrize("which", ["trainval", "test"])
def test_a_name_that_is_no_file_s_name_is_refused(lists, which, name, fault):
    texts = {"trainval": "a\nb\n", "test": "t_1\n"}
    texts[which] += f"{name} 1 1 1\n"
    with pytest.raises(InputError) as caught:
        read_catalog(lists(**texts), 10)
    message = str(caught.value)
    assert message.endswith(f"{fault}; rename its files and edit the list")
    assert f"{which}.txt: the name {name[:40]!r} " in message
    assert message.isprintable() and len(message) < 500


@pytest.mark.parametrize("name", ["a,b", 'a"b', "'a'", "=1+1", "ünïcode", "犬", "a.b", "-a", "a" * 250])
def test_odd_names_are_names(lists, name):
    assert split_names(lists("a\nb\n", f"{name}\n"))["test"] == [name]


@few
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(alphabet='a/.\\ \n\t\0\x85\u2028#,"1'))
def test_any_text_is_a_list_or_one_line(tmp_path_factory, text, nasty):
    raw = tmp_path_factory.mktemp("raw")
    (raw / "annotations").mkdir()
    for name, content in (("trainval", f"a\nb\n{text}\n{nasty}"), ("test", "t_1")):
        (raw / "annotations" / f"{name}.txt").write_text(content, encoding="utf-8", newline="")
    try:
        samples = read_catalog(raw, 10)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        for sample in samples:
            assert sample.picture.parent == raw / "images" and sample.picture.name == f"{sample.name}.jpg"
            assert "\0" not in sample.name and sample.name.split() == [sample.name]


def test_a_pipe_in_place_of_a_list_is_not_waited_for(lists):
    raw = lists("a\nb\n")
    (raw / "annotations" / "test.txt").unlink()
    os.mkfifo(raw / "annotations" / "test.txt")
    with pytest.raises(InputError, match=r"test\.txt cannot be read \(not a regular file\)"):
        read_catalog(raw, 10)


def test_a_list_that_is_far_too_long_is_not_read(lists):
    raw = lists("a\nb\n")
    os.truncate(raw / "annotations" / "test.txt", 2**40)
    with pytest.raises(InputError, match=r"test\.txt cannot be read \(larger than 268,435,456 bytes\)"):
        read_catalog(raw, 10)


def test_a_message_about_a_name_is_printable_where_the_name_is_not(lists):
    with pytest.raises(InputError) as caught:
        read_catalog(lists("a_1\nb\ufeff_2\nb\ufeff_2\n"), 10)
    assert "b?_2" in str(caught.value) and str(caught.value).isprintable()


OWN = {"name": "a", "split": "test", "group": "p1", "image": "images/a.png", "masks": ["masks/a/1", "masks/a/2"]}


@pytest.fixture
def own(tmp_path):
    """Write samples.json; give the raw folder."""

    def write(*samples, text: str | None = None):
        text = json.dumps({"samples": samples}) if text is None else text
        (tmp_path / "samples.json").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_own_data_are_listed_with_their_files_and_splits(own):
    raw = own(OWN, OWN | {"name": "sub/ü b", "split": "train", "group": "", "masks": ["masks/b"]})
    train, test = read_catalog(raw, 10)
    assert (train.name, train.split, train.group, train.trimap) == ("sub/ü b", "train", "", False)
    assert (test.picture, test.group) == (raw / "images/a.png", "p1")
    assert test.masks == (raw / "masks/a/1", raw / "masks/a/2")


def refused(raw) -> str:
    with pytest.raises(InputError) as caught:
        read_catalog(raw, 10)
    said = str(caught.value)
    assert str(raw / "samples.json") in said and len(said) < 1500 and said.isprintable()
    return said


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "images/../../a", "..", "", "."])
@pytest.mark.parametrize("key", ["name", "image", "masks"])
def test_a_path_out_of_the_raw_folder_is_refused(own, key, path):
    """A name is also part of the names in original_masks.zip."""
    said = refused(own(OWN, OWN | {"name": "b", key: ["masks/b", path] if key == "masks" else path}))
    assert "run 'dvc repro download' again" in said


@pytest.mark.parametrize(
    "changes",
    [
        *({"split": "TEST"}, {"split": ["test"]}, {"masks": []}, {"masks": "masks/a"}, {"masks": [1]}, {"image": None}),
        *({"name": 7}, {"name": "a\0b"}, {"name": "a\nb"}, {"nmae": 1}, {"group": {}}, {"image": "x" * 10**6 + "\n"}),
    ],
    ids=lambda changes: ascii(changes)[:20],
)
def test_a_wrong_field_is_refused(own, changes):
    assert " is damaged (samples[0]" in refused(own(OWN | changes))


@pytest.mark.parametrize(
    "text",
    ["", "[", "null", "[]", "{}", '{"samples": 1}', '{"samples": [1]}', "[" * 10**5, '{"samples": NaN}', "\ufeff{}"],
    ids=lambda text: text[:16],
)
def test_what_is_no_list_of_samples_is_refused(own, text):
    assert "samples.json" in refused(own(text=text))


def test_many_faults_are_one_short_line(own):
    assert "must be 'train', 'valid' or 'test'" in refused(own(*[OWN | {"split": "x" * 10**4}] * 1000))


def test_a_name_that_comes_twice_or_no_name_is_refused(own):
    assert "lists a more than once" in refused(own(OWN, OWN | {"split": "train"}))
    assert "lists no sample" in refused(own())


def test_a_list_of_samples_that_is_no_file_or_far_too_large_is_not_read(own):
    raw = own(OWN)
    os.truncate(raw / "samples.json", 2**40)
    assert "not a regular file, or far too large" in refused(raw)
    (raw / "samples.json").unlink()
    os.mkfifo(raw / "samples.json")
    assert "not a regular file, or far too large" in refused(raw)
