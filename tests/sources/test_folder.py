"""A user's own pictures and masks."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import open_split
from segkit.base.params import Folder
from segkit.dataset.catalog import read_catalog
from segkit.dataset.preprocess import preprocess
from segkit.sources.folder import bring
from tests.tiny import options, pet


class Own:
    """Folders of pictures and masks as a user has them."""

    def __init__(self, root) -> None:
        self.images, self.masks, self.target = root / "pictures", root / "masks", root / "raw"
        self.images.mkdir()
        self.masks.mkdir()

    def add(self, name: str, ending: str = ".png", values: tuple[int, int] = (0, 255)) -> None:
        picture, trimap = pet(len(name))
        picture.save(self.images / f"{name}{ending}")
        mask = np.where(np.asarray(trimap) == 2, *values).astype(np.uint8)
        Image.fromarray(mask).save(self.masks / f"{name}.png")

    def bring(self, test_share: float = 0.2) -> str:
        return bring(
            self.target,
            Folder(images=str(self.images), masks=str(self.masks), test_share=test_share),
            seed=0,
            workers=1,
        )

    def names(self) -> set[str]:
        return {sample.name for sample in read_catalog(self.target, 10)}

    def refusal(self) -> str:
        with pytest.raises(InputError) as caught:
            self.bring()
        return str(caught.value)


@pytest.fixture
def own(tmp_path) -> Own:
    return Own(tmp_path)


def test_what_was_brought_can_be_packed(own, tmp_path):
    for number in range(40):
        own.add(f"picture_{number}", ".jpg" if number % 2 else ".png")
    assert own.bring() == f"from {own.images}"
    assert len(own.names()) == 40
    summary = preprocess(own.target, tmp_path / "out", options())
    assert sum(block["images"] for block in summary["splits"].values()) == 40
    assert set(np.unique(open_split(tmp_path / "out", "train").masks[:])) == {0, 1}
    assert 0.1 < summary["splits"]["train"]["foreground"] < 0.5


def test_the_test_set_is_a_fifth_chosen_by_the_hash_of_the_name(own):
    names = [f"n{number}" for number in range(60)]
    for name in names:
        own.add(name)
    own.bring()
    share = {name: int(hashlib.sha256(name.encode()).hexdigest(), 16) / 2**256 for name in names}
    found = {sample.name: sample.split for sample in read_catalog(own.target, 10)}
    assert {name for name in names if found[name] == "test"} == {name for name in names if share[name] < 0.2}
    assert found.keys() == set(names)


def test_a_sample_keeps_its_side_of_the_split_when_others_come(own, tmp_path):
    for number in range(20):
        own.add(f"n{number}")
    own.bring()
    before = {sample.name for sample in read_catalog(own.target, 10) if sample.split == "test"}
    for number in range(20, 40):
        own.add(f"n{number}")
    own.target = tmp_path / "again"
    own.bring()
    after = {sample.name for sample in read_catalog(own.target, 10) if sample.split == "test"}
    assert before == {name for name in after if int(name[1:]) < 20}


def test_pictures_and_masks_keep_their_bytes(own):
    own.add("a", ".jpg")
    own.bring()
    assert (own.target / "images/a.jpg").read_bytes() == (own.images / "a.jpg").read_bytes()
    assert (own.target / "annotations/masks/a.png").read_bytes() == (own.masks / "a.png").read_bytes()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_test_share_is_a_parameter(own, share):
    for number in range(60):
        own.add(f"n{number}")
    own.bring(share)
    hashes = {f"n{i}": int(hashlib.sha256(f"n{i}".encode()).hexdigest(), 16) / 2**256 for i in range(60)}
    found = {sample.name for sample in read_catalog(own.target, 10) if sample.split == "test"}
    assert found == {name for name, value in hashes.items() if value < share}


def test_what_has_no_partner_or_cannot_be_read_is_reported_by_preprocess(own, tmp_path):
    for number in range(12):
        own.add(f"n{number}")
    (own.images / "n3.png").unlink()
    (own.masks / "n4.png").unlink()
    (own.masks / "n5.png").write_bytes(b"")
    own.bring()
    with pytest.raises(InputError) as caught:
        preprocess(own.target, tmp_path / "out", options())
    for reason in ("n3 (image: no such file)", "n4 (mask: no such file)", "n5 (mask: the file is empty)"):
        assert reason in str(caught.value)
    # DVC does not watch the folder, so fixing the files alone would not help
    assert str(caught.value).endswith("; fix them and run 'dvc repro -f download', or set preprocess.on_bad to skip")


def test_jpeg_masks_are_refused(own):
    own.add("a")
    Image.open(own.masks / "a.png").save(own.masks / "b.jpg")
    assert "1 masks are JPEG, which changes values (b.jpg" in own.refusal()


def test_samples_of_a_folder_have_no_group(own):
    for number in range(12):
        own.add(f"patient_{number}")
    own.bring()
    assert {sample.group for sample in read_catalog(own.target, 10)} == {""}


def test_hidden_files_and_folders_are_left_out(own):
    own.add("a")
    (own.images / "._a.png").write_bytes(b"")
    (own.masks / ".DS_Store").write_bytes(b"")
    (own.images / "more").mkdir()
    for number in range(12):
        own.add(f"n{number}")
    own.bring()
    assert own.names() == {"a", *(f"n{number}" for number in range(12))}


@pytest.mark.parametrize("name", ["with some  spaces", "# 1", "ünïcode", "a.b", " a ", "a\u00a0b"])
def test_odd_names_stay_as_they_are(own, name):
    names = {name, "x1", "x2", "x3", "x5", "x8", "x9", "x10"}
    for each in names:
        own.add(each)
    own.bring()
    samples = read_catalog(own.target, 10)
    assert {sample.name for sample in samples} == names
    assert all(sample.picture.is_file() and sample.mask.is_file() for sample in samples)


def test_a_path_that_cannot_be_is_one_short_line(own):
    own.masks = Path("x" * 90_000)
    assert len(own.refusal()) < 400


def test_a_missing_folder_is_named(own):
    own.masks.rmdir()
    assert own.refusal() == f"data.folder.masks: {own.masks} is not a folder"


@pytest.mark.parametrize(
    "name",
    [b"a\xff.png", b"a\x07.png", b"a\\b.png", b"a" * 251 + b".png"],
    ids=["no UTF-8", "bell", "backslash", "long"],
)
def test_names_that_cannot_stand_in_a_list_are_refused(own, name):
    own.add("a")
    with open(os.path.join(os.fsencode(own.images), name), "wb"):
        pass
    said = own.refusal()
    assert said.startswith("data.folder.images: the name '") and said.endswith("; rename it") and said.isprintable()


def test_pipes_and_links_to_nothing_are_reported_by_preprocess(own, tmp_path):
    for number in range(12):
        own.add(f"n{number}")
    for folder, name, make in (
        (own.images, "n3.png", os.mkfifo),
        (own.masks, "n4.png", os.mkfifo),
        (own.images, "n5.png", lambda path: path.symlink_to("gone")),
    ):
        (folder / name).unlink()
        make(folder / name)
    os.mkfifo(own.images / "new.png")
    own.bring()
    assert len(own.names()) == 13
    with pytest.raises(InputError) as caught:
        preprocess(own.target, tmp_path / "out", options())
    for name, role in (("n3", "image"), ("n4", "mask"), ("n5", "image"), ("new", "image")):
        assert f"{name} ({role}: no such file)" in str(caught.value)


@pytest.mark.parametrize("image_format", ["JPEG", "GIF"])
def test_a_mask_that_is_no_mask_is_copied_and_reported_by_preprocess(own, tmp_path, image_format):
    for number in range(12):
        own.add(f"n{number}")
    frames = [Image.new("L", (40, 30), value) for value in (0, 255)]
    more = {"save_all": True, "append_images": frames[1:]} if image_format == "GIF" else {}
    frames[0].save(own.masks / "n3.png", image_format, **more)
    own.bring()
    with pytest.raises(InputError, match=r"n3 \(mask: (it has several frames|its compression is lossy)"):
        preprocess(own.target, tmp_path / "out", options())


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_that_lies_in_its_transparency_is_reported_and_not_taken_for_foreground(own, tmp_path, mode):
    for number in range(12):
        own.add(f"n{number}")
    mask = Image.open(own.masks / "n3.png")
    white = Image.new("L", mask.size, 255)
    Image.merge(mode, [white] * (len(mode) - 1) + [mask]).save(own.masks / "n3.png")
    own.bring()
    with pytest.raises(InputError, match=r"n3 \(mask: some transparent pixels have a value other than 0"):
        preprocess(own.target, tmp_path / "out", options())


@pytest.mark.parametrize("values", [(1, 2), (20, 80), (255, 255)])
def test_masks_without_any_background_are_refused_by_preprocess(own, tmp_path, values):
    for number in range(12):
        own.add(f"n{number}", values=values)
    own.bring()
    with pytest.raises(
        InputError, match=r"data\.folder\.masks: no mask has a pixel with value 0 \(background\); use 0"
    ):
        preprocess(own.target, tmp_path / "out", options())


def test_pictures_are_not_their_own_masks(own):
    own.add("a")
    own.masks = own.images.parent / "link"
    own.masks.symlink_to(own.images)
    assert "data.folder: images and masks are the same folder" in own.refusal()
