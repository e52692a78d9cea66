"""A user's own images and masks: what is found in the folders, and what is copied."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from segkit.base.errors import InputError
from segkit.base.params import FolderSplit
from segkit.sources.folder import Understood, bring, understand
from tests.tiny import ROOT, own_folder

PNG = b"\x89PNG\r\n\x1a\n"
CASES = ROOT.parent / "shared" / "cases" / "make_cases.py"


class Own:
    """Folders of images and masks as a user has them; nothing here reads more of an image than its first bytes."""

    def __init__(self, root: Path) -> None:
        self.images, self.masks, self.target = root / "pictures", root / "masks", root / "raw"
        self.images.mkdir()
        self.masks.mkdir()

    def add(self, *names: str, mask: str = "{}.png") -> None:
        for name in names:
            for path in (self.images / f"{name}.png", self.masks / mask.format(name)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(PNG + os.fsencode(path))

    def understand(self, **options) -> Understood:
        return understand(own_folder(self.images, self.masks, **options))

    def bring(self, **options) -> list[dict]:
        options = own_folder(self.images, self.masks, **options)
        assert bring(self.target, options, 0, 1) == f"from {self.images}: {understand(options).line()}"
        return json.loads((self.target / "samples.json").read_text())["samples"]

    def refusal(self, **options) -> str:
        with pytest.raises(InputError) as caught:
            self.understand(**options)
        return str(caught.value)


@pytest.fixture
def own(tmp_path) -> Own:
    own = Own(tmp_path)
    own.add(*(f"n{number}" for number in range(12)))
    return own


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_matched_files_are_copied_unchanged_and_listed(own):
    own.add("more/a", mask="{}_1.gif")
    own.add("more/a", mask="{}_2.gif")
    own.add(*(f"n{number}" for number in range(12)), mask="{}_1.bmp")
    for path in own.masks.glob("*.png"):
        path.unlink()
    (own.images / "lonely.png").write_bytes(PNG)
    (own.images / "notes.txt").write_text("spring")
    samples = own.bring(group="(.)$")
    assert [sample["name"] for sample in samples] == sorted(["more/a", *(f"n{number}" for number in range(12))])
    first = samples[0]
    assert first | {"split": ""} == {
        "name": "more/a",
        "split": "",
        "group": "a",
        "image": "images/more/a.png",
        "masks": ["masks/more/a_1.gif", "masks/more/a_2.gif"],
    }
    assert files_below(own.target) == sorted(
        ["samples.json", *(path for sample in samples for path in (sample["image"], *sample["masks"]))]
    )
    for kind, folder in (("images", own.images), ("masks", own.masks)):
        for path in files_below(own.target / kind):
            assert (own.target / kind / path).read_bytes() == (folder / path).read_bytes()


def test_the_line_names_everything_that_was_left_over(own):
    own.add("a", "b", "c", "d")
    for name in "abcd":
        (own.masks / f"{name}.png").unlink()
    (own.masks / "z.png").write_bytes(PNG)
    (own.images / "notes.txt").write_text("spring")
    assert own.understand().line() == (
        "12 pairs by {name}; 4 images without a mask (a, b, c, ...); 1 mask without an image (z); 1 other file ignored"
    )


def test_files_are_images_by_their_first_bytes(own):
    (own.images / "n0.png").rename(own.images / "n0.dat")
    (own.masks / "n0.png").rename(own.masks / "n0")
    (own.images / "table.csv").write_bytes(b"BMI,age\n1,2\n")
    found = own.understand()
    assert len(found.pairs) == 12 and found.other_files == 1
    assert found.pairs[0].image.name == "n0.dat" and found.pairs[0].masks[0].name == "n0"


SIGNATURES = [
    b"\xff\xd8\xff\xe0",
    PNG,
    b"GIF89a",
    b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"RIFF\x10\0\0\0WEBPVP8 ",
    b"P5\n3 2\n255\n",
    b"P6 3 2 255 ",
]


@pytest.mark.parametrize("first", SIGNATURES, ids=lambda first: first[:4].hex())
def test_every_format_is_known_by_its_signature(own, first):
    (own.images / "n0.png").unlink()
    (own.images / "n0.raw").write_bytes(first + bytes(20))
    assert len(own.understand().pairs) == 12


def test_hidden_files_are_left_out(own):
    for name in ("._n0.png", ".DS_Store", ".gitkeep"):
        (own.images / name).write_bytes(PNG)
    for name in (".trash", "__MACOSX"):
        (own.masks / name).mkdir()
        (own.masks / name / "n0.png").write_bytes(PNG)
    assert own.understand().line() == "12 pairs by {name}"


@pytest.mark.parametrize("name", ["with some  spaces", "# 1", "ünïcode", "a.b", " a ", "a\u00a0b", "sub/a b"])
def test_odd_names_stay_as_they_are(own, name):
    own.add(name)
    samples = own.bring()
    assert name in {sample["name"] for sample in samples}
    assert all((own.target / path).is_file() for sample in samples for path in (sample["image"], *sample["masks"]))


def test_two_forms_of_unicode_are_one_name(own):
    (own.images / "e\u0301.png").write_bytes(PNG)
    (own.masks / "\u00e9.png").write_bytes(PNG)
    sample = next(sample for sample in own.bring() if not sample["name"].startswith("n"))
    assert (sample["name"], sample["image"], sample["masks"]) == ("é", "images/é.png", ["masks/é.png"])
    (own.images / "é.png").write_bytes(PNG)
    assert "are one name in two Unicode forms; rename one" in own.refusal()


@pytest.mark.parametrize(
    "name",
    [b"a\xff.png", b"a\x07.png", b"a\\b.png", b"a" * 251 + b".png", b"a\x07/b.png", b"a.p\x07"],
    ids=["no UTF-8", "bell", "backslash", "long", "folder", "ending"],
)
def test_names_that_cannot_stand_in_a_list_are_refused(own, name):
    path = os.path.join(os.fsencode(own.images), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(PNG)
    said = own.refusal()
    assert said.startswith("data.folder.images: the name '") and said.endswith("; rename it") and said.isprintable()


def test_odd_names_of_other_files_do_no_harm(own):
    with open(os.path.join(os.fsencode(own.images), b"a\xff\x07.txt"), "wb"):
        pass
    assert own.understand().other_files == 1


def test_pipes_and_broken_links_and_empty_files_are_samples_that_are_not_copied(own):
    for folder, name, make in (
        (own.images, "n3.png", os.mkfifo),
        (own.masks, "n4.png", os.mkfifo),
        (own.images, "n5.png", lambda path: path.symlink_to("gone")),
        (own.masks, "n6.png", Path.touch),
    ):
        (folder / name).unlink()
        make(folder / name)
    os.mkfifo(own.images / "other")
    assert len(own.bring()) == 12
    copied = files_below(own.target)
    assert not {"images/n3.png", "masks/n4.png", "images/n5.png"} & {*copied} and "masks/n6.png" in copied


def test_links_that_lead_back_are_followed_once(own, tmp_path):
    (own.images / "loop").symlink_to(own.images)
    elsewhere = tmp_path / "elsewhere"
    for folder in (own.images, own.masks):
        (elsewhere / folder.name).mkdir(parents=True)
        (elsewhere / folder.name / "x.png").write_bytes(PNG)
        (folder / "linked").symlink_to(elsewhere / folder.name)
    assert own.understand().pairs[0].name == "linked/x"
    assert len(own.understand().pairs) == 13


def test_a_folder_that_cannot_be_read_is_named(own, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    assert own.refusal() == f"data.folder.images: {own.images} cannot be read: Permission denied"


def test_masks_in_a_sub_folder_of_the_images_are_no_images(own):
    own.masks.rename(own.images / "masks")
    own.masks = own.images / "masks"
    assert own.understand().line() == "12 pairs by {name}"


def test_images_in_a_sub_folder_of_the_masks_are_no_masks(own):
    own.images.rename(own.masks / "pictures")
    own.images = own.masks / "pictures"
    assert own.understand().line() == "12 pairs by {name}"


def test_images_and_masks_may_be_in_one_folder(own):
    for path in own.masks.iterdir():
        path.rename(own.images / f"{path.stem}_mask.png")
    own.masks = own.images.parent / "link"
    own.masks.symlink_to(own.images)
    assert own.understand().line() == "12 pairs by {name}_mask"
    assert own.refusal(match="{name}").startswith('data.folder.match: "{name}" would make each image its own mask')


def test_images_are_not_their_own_masks(own):
    own.masks = own.images
    said = own.refusal()
    assert "no image matches a mask: in one folder n0.png, n1.png, n10.png, and 9 more" in said
    assert "where both are in one folder, their names must differ" in said


def test_a_folder_without_images_says_what_is_in_it(own):
    for path in own.masks.iterdir():
        path.rename(path.with_suffix(".dcm"))
        path.with_suffix(".dcm").write_bytes(b"DICM")
    assert own.refusal() == (
        f"data.folder.masks: {own.masks} holds no images but 12 other files (.dcm); save the masks there as PNG, JPEG "
        "or TIFF"
    )


def test_a_missing_folder_is_named(own):
    own.masks = Path("x" * 90_000)
    assert len(own.refusal()) < 400
    own.masks = own.images / "n0.png"
    assert own.refusal() == f"data.folder.masks: {own.masks} is not a folder"


def test_the_home_folder_may_be_written_as_a_tilde(own, monkeypatch):
    monkeypatch.setenv("HOME", str(own.images.parent))
    own.images, own.masks = Path("~/pictures"), Path("~/masks")
    assert len(own.understand().pairs) == 12


def test_a_list_of_the_test_set_is_read_from_the_folder_of_images(own):
    (own.images / "test.txt").write_text("n1\nn2.png\n")
    found = own.understand(split=FolderSplit(test="test.txt", valid=0.1))
    assert Counter(pair.split for pair in found.pairs) == {"train": 9, "test": 2, "valid": 1}
    assert [pair.name for pair in found.pairs if pair.split == "test"] == ["n1", "n2"] and not found.other_files


def test_advice_about_groups_works_when_followed(own):
    own.add(*(f"patient{person}_{number}" for person in range(4) for number in range(6)))
    for number in range(12):
        (own.images / f"n{number}.png").unlink()
        (own.masks / f"n{number}.png").unlink()
    (note,) = own.understand().notes
    pattern = re.search("set data.folder.group to '(.+)'$", note)[1]
    found = own.understand(group=pattern)
    assert not found.notes and "; 4 groups" in found.line()
    assert len({(pair.group, pair.split) for pair in found.pairs}) == 4


def test_files_that_come_in_another_order_give_the_same(own, monkeypatch):
    own.add("b/x", "a/x", "a/y")
    before = own.understand()
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *args, **kwargs: ((a, b, c[::-1]) for a, b, c in walk(*args, **kwargs)))
    assert own.understand() == before


EXPECTED = {
    "mask_suffix": "24 pairs by {name}_mask",
    "double_ending": "24 pairs by {name}.jpg -> {name}.jpg.png",
    "other_files": "24 pairs by {name}; 28 other files ignored",
    "several_masks": "24 pairs by {name}/*; 48 masks, those of an image are united; if they are opinions of several "
    "people, choose one with data.folder.match",
    "partly_nested": "24 pairs by {name}",
}


@pytest.mark.slow
@pytest.mark.skipif(not CASES.is_file(), reason="needs ../shared/cases")
def test_everyday_folders(tmp_path):
    wanted = [*EXPECTED, "healthy", "nested", "patients"]
    subprocess.run([sys.executable, CASES, tmp_path, *wanted], check=True, capture_output=True)
    for case in wanted:
        found = understand(own_folder(tmp_path / case / "images", tmp_path / case / "masks"))
        assert case not in EXPECTED or found.line() == EXPECTED[case]
        assert len(found.pairs) == (48 if case == "patients" else 24)
        assert ("names look like 4 groups" in found.line()) == (case in ("nested", "patients"))
