"""The images of a command line: each once, and no two of them with one place."""

import os
import unicodedata
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.inference import marks
from segkit.inference.finding import find, refuse_output
from tests.tiny import many

OUT = Path("out")
STEMS = st.sampled_from(["cat", "Cat", "c.at", "cat.jpg", "cat.jpg_2", "cat_mask", "straße", "STRASSE", "é", "e\u0301"])
ENDINGS = st.sampled_from([".jpg", ".JPG", ".png", ".tiff"])
FOLDERS = st.lists(st.sampled_from(["a", "A", "b.jpg", "ß"]), max_size=2)
PLACES = st.sets(st.builds(lambda folders, *name: "/".join([*folders, "".join(name)]), FOLDERS, STEMS, ENDINGS))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Make empty files below the working directory."""

    def tree(*places: str) -> Path:
        for place in places:
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).touch()
        return tmp_path

    monkeypatch.chdir(tmp_path)
    return tree


def places(*arguments: str, out: Path = OUT) -> dict[str, str]:
    """The place of each image by its path below the working directory, in order."""
    return {os.path.relpath(image.path): image.place for image in find(arguments, out)}


def refusal(*arguments: str, out: Path = OUT) -> str:
    with pytest.raises(InputError) as caught:
        find(arguments, out)
    return str(caught.value)


@many
@given(PLACES)
def test_every_image_of_a_tree_is_found_once_and_has_its_own_place(files):
    with TemporaryDirectory() as folder:
        for file in files:
            path = Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        if not files:
            assert "holds no images" in refusal(folder)
            return
        found = find([folder], OUT)
        assert sorted(image.path for image in found) == sorted(Path(folder, file) for file in files)
        # one name to no file system: neither where case is the same, nor where Unicode is normalised
        same = Counter(unicodedata.normalize("NFD", image.place).upper() for image in found)
        assert max(same.values()) == 1
        for image in found:
            assert image.path.parent == Path(folder, image.place).parent
            assert image.place.startswith(str(image.path.relative_to(folder).with_suffix("")))
        assert find([folder], OUT) == found == find([folder, f"{folder}/*"], OUT)


def test_results_keep_the_folders_below_the_deepest_that_holds_all(tree):
    tree("photos/x/1.jpg", "photos/y/1.jpg", "photos/y/z/2.png")
    assert places("photos/x/1.jpg") == {"photos/x/1.jpg": "1"}
    assert places("photos/x/1.jpg", "photos/y") == {
        "photos/x/1.jpg": "x/1",
        "photos/y/1.jpg": "y/1",
        "photos/y/z/2.png": "y/z/2",
    }
    assert places("photos/y/z") == {"photos/y/z/2.png": "2"}


def test_images_that_differ_in_their_ending_alone_keep_it(tree):
    tree("cat.jpg", "cat.png", "dog.jpg")
    assert places(".") == {"cat.jpg": "cat.jpg", "cat.png": "cat.png", "dog.jpg": "dog"}


def test_images_that_differ_in_case_alone_get_a_number(tree):
    tree("A/x.jpg", "a/X.jpg")
    assert places(".") == {"A/x.jpg": "A/x.jpg", "a/X.jpg": "a/X.jpg_2"}


def test_the_order_is_that_of_the_arguments_and_the_first_mention_counts(tree):
    tree("b/2.jpg", "b/1.jpg", "a/3.jpg")
    assert list(places("b", "a", "b/1.jpg", "./b")) == ["b/1.jpg", "b/2.jpg", "a/3.jpg"]


def test_folders_hold_images_by_their_endings_and_a_file_by_itself_is_one_whatever_its_ending(tree):
    tree("a/1.jpg", "a/2.PNG", "a/notes.txt", "a/.hidden.jpg", "a/.git/3.jpg", "a/__MACOSX/4.jpg", "a/5.jpeg/6.tif")
    assert list(places("a")) == ["a/1.jpg", "a/2.PNG", "a/5.jpeg/6.tif"]
    assert list(places("a/notes.txt", "a/.hidden.jpg")) == ["a/notes.txt", "a/.hidden.jpg"]


def test_patterns(tree):
    tree("a/1.jpg", "a/2.png", "a/b/3.jpg", "a/.hidden/4.jpg", "[x].jpg", "x.jpg")
    assert list(places("a/*.jpg")) == ["a/1.jpg"]
    assert places("a/**/*.jpg") == {"a/1.jpg": "1", "a/b/3.jpg": "b/3"}
    assert list(places("a/*")) == ["a/1.jpg", "a/2.png", "a/b/3.jpg"]
    assert list(places("a/.h*/*.jpg")) == ["a/.hidden/4.jpg"]
    assert list(places("[x].jpg")) == ["[x].jpg"]  # there is such a file
    assert list(places(f"{os.getcwd()}/[x-z].jpg")) == ["x.jpg"]


def test_links_are_followed_and_each_folder_is_visited_once(tree):
    root = tree("photos/1.jpg", "elsewhere/2.jpg")
    for link, target in (("photos/loop", "photos"), ("photos/more", "elsewhere")):
        (root / link).symlink_to(root / target)
    assert list(places("photos")) == ["photos/1.jpg", "photos/more/2.jpg"]
    assert list(places("photos/**/*.jpg")) == ["photos/1.jpg"]


def test_a_parent_of_a_link_is_where_the_link_leads(tree):
    root = tree("deep/er/x.jpg", "deep/right.jpg", "right.jpg")
    (root / "link").symlink_to(root / "deep/er")
    for argument in ("link/../right.jpg", "link/../right.*"):
        (image,) = find([argument], OUT)
        assert image.path.samefile(root / "deep/right.jpg")
    assert [image.place for image in find(["link/.."], OUT)] == ["right", "er/x"]


def test_results_below_the_images_are_no_images(tree):
    root = tree("photos/1.jpg", "photos/out/1_mask.png", "linked/2.jpg")
    (root / "linked/out").symlink_to(root / "photos/out")
    assert list(places("photos", "linked", out=Path("photos/out"))) == ["photos/1.jpg", "linked/2.jpg"]


def test_a_pattern_may_match_the_folder_of_the_results(tree):
    root = tree("photos/1.jpg")
    (root / "photos/out").mkdir()
    for results in ([], ["1_mask.png", "1.json"]):
        for name in results:
            (root / "photos/out" / name).write_text(marks.text("0" * 16))
        for arguments in (["photos/*"], ["photos/1.jpg", "photos/out"]):
            assert list(places(*arguments, out=Path("photos/out"))) == ["photos/1.jpg"]


def test_the_folder_of_the_images_is_none_for_results(tree):
    tree("photos/1.jpg", "more/2.jpg")
    said = "--out photos is the folder of the images; choose another"
    for arguments in (["photos"], ["more", "photos"], ["phot*"], ["photos/../photos"]):
        assert refusal(*arguments, out=Path("photos")) == said


def test_what_holds_no_images_is_refused(tree):
    tree("empty/notes.txt", "some/1.jpg")
    none = "holds no images; name a JPEG, PNG, TIFF ..., or a folder of them"
    assert refusal("some", "empty") == f"empty {none}"
    assert refusal("*.jpg") == f"*.jpg {none}"
    assert refusal("some", "none.jpg") == "none.jpg: no such file or folder"
    assert refusal("no\nsuch") == "no such: no such file or folder"
    assert refusal("") == ": no such file or folder"
    assert refusal("a**/[").startswith("a**/[ ")


def test_an_unreadable_folder_is_refused(tree, monkeypatch):
    tree("photos/1.jpg", "photos/private/2.jpg")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "photos/private cannot be read: Permission denied; change its permissions" in refusal("photos")


def test_an_odd_name_is_found(tree):
    tree("a/line\nbreak.jpg", os.fsdecode(b"a/\xff.jpg"))
    assert len(places("a")) == len(places("a/*")) == 2


@pytest.mark.parametrize("out", ["x.jpg", "x.jpg/below", "dangling", "dangling/below", "loop"])
def test_an_output_folder_that_cannot_be_one_is_refused(tree, out):
    root = tree("x.jpg")
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(InputError, match=f"^--out {out}: {out.split('/')[0]} is no folder; name one, or a new one$"):
        refuse_output(Path(out))


def test_an_output_folder_may_be_new_or_there(tree):
    root = tree("a/x.jpg")
    (root / "link").symlink_to(root / "a")
    for out in ("new", "a", "a/new", "link", "."):
        refuse_output(Path(out))
    assert sorted(path.name for path in root.rglob("*")) == ["a", "link", "x.jpg"]  # it makes none
