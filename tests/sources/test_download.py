"""``download`` replaces its own files and nothing else, and refuses settings that point into the pipeline's outputs."""

import json
import os
from pathlib import Path

import pytest

from segkit.base import workspace
from segkit.base.errors import InputError
from segkit.base.files import atomic_folder
from segkit.base.params import parse
from segkit.base.workspace import OUTPUTS, user_path
from segkit.sources import synthetic
from segkit.sources.download import download
from tests.tiny import changed

TARGET = Path("data/raw/download")
DRAWN = {"images/a.jpg": b"image", "annotations/list.txt": b"a", "images/more/b.png": b"b", "images/notes.mat": b""}


def bring(target: Path, options: object, seed: int, workers: int) -> str:
    """A source that is quick."""
    for name, body in DRAWN.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(body + str(seed).encode())
    return "drawn"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch) -> Path:
    """An empty checkout, in which the synthetic source is quick."""
    monkeypatch.setattr(synthetic, "bring", bring)
    root = tmp_path / "checkout"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def run(**values) -> str:
    return download(parse(changed({key.replace("__", "."): value for key, value in values.items()})), TARGET)


def refusal(**values) -> str:
    with pytest.raises(InputError) as caught:
        run(**values)
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_in_sub_folders_are_counted_and_every_file_has_its_checksum():
    assert run() == "2 images, drawn"
    assert json.loads((TARGET / "checksums.json").read_text()).keys() == DRAWN.keys()


def test_its_own_files_are_replaced():
    run(seed=1)
    (TARGET / "images/a.jpg").unlink()  # a file that is missing is no file of a user's
    run(seed=2)
    assert (TARGET / "images/a.jpg").read_bytes() == b"image2"


def add(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mine.png", add),
        ("images/a.jpg", add),
        ("images/.hidden", add),
        ("new/a.png", add),
        ("file\n\udcff", add),
        ("pipe", os.mkfifo),
        ("link", lambda path: path.symlink_to("nowhere")),
        ("folder", lambda path: path.symlink_to(path.parent.parent)),
    ],
    ids=["added", "edited", "hidden", "folder", "odd name", "pipe", "broken link", "link to a folder"],
)
def test_what_it_did_not_write_makes_it_refuse_with_everything_as_it_was(name, make):
    run()
    make(TARGET / name)
    before = content(Path("data"))
    said = refusal(seed=1)
    assert said.startswith("data/raw/download holds files that this stage did not write, or that were edited since: '")
    assert "move them out of data/raw/download, for example to data/own" in said
    assert content(Path("data")) == before and os.path.lexists(TARGET / name)
    (TARGET / name).rename("moved")
    run(seed=1)


@pytest.mark.parametrize("record", [None, "", "[]", '{"mine.png": 3}', '{"a": NaN'])
def test_without_its_record_it_owns_nothing(record):
    run()
    (TARGET / "checksums.json").unlink()
    if record is not None:
        (TARGET / "checksums.json").write_text(record)
    said = refusal()
    assert "'annotations/list.txt', 'images/a.jpg', 'images/more/b.png' and 1 more; " in said


def test_what_file_managers_leave_behind_is_no_file_of_a_user():
    run()
    (TARGET / "images/.DS_Store").write_bytes(b"x")
    run(seed=1)
    assert (TARGET / "images/a.jpg").is_file()


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"mine"), lambda path: path.symlink_to("nowhere")])
def test_a_file_in_place_of_its_folder_is_kept(make):
    TARGET.parent.mkdir(parents=True)
    make(TARGET)
    assert refusal().startswith("data/raw/download is not a folder")
    assert os.path.lexists(TARGET)


def test_a_file_added_while_it_works_is_kept(monkeypatch):
    run()

    def slowly(target: Path, *arguments) -> str:
        (TARGET / "images/mine.png").write_bytes(b"mine")
        return bring(target, *arguments)

    monkeypatch.setattr(synthetic, "bring", slowly)
    assert "'images/mine.png'; nothing was changed" in refusal(seed=1)
    assert (TARGET / "images/mine.png").read_bytes() == b"mine"
    assert (TARGET / "images/a.jpg").read_bytes() == b"image0" and os.listdir(TARGET.parent) == ["download"]


def test_a_folder_moved_aside_by_a_run_that_was_killed_comes_back_and_is_checked():
    run()
    (TARGET / "mine.png").write_bytes(b"mine")
    TARGET.rename(TARGET.with_name(".download.partial.former"))
    assert "'mine.png'" in refusal()
    assert (TARGET / "mine.png").read_bytes() == b"mine"


def test_other_folders_that_are_replaced_have_no_check(tmp_path):
    for number in range(2):
        with atomic_folder(tmp_path / "set") as folder:
            (folder / str(number)).touch()
    assert os.listdir(tmp_path / "set") == ["1"]


SETTINGS = ("data__folder__images", "data__folder__masks", "data__oxford_pet__urls")


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    "spelling", ["{}", "{}/images/", "segkit/../{}", "{root}/{}", "link/{}/x", "{root}/../link/{}"]
)
def test_no_setting_may_point_into_an_output(checkout, key, output, spelling):
    (checkout / "link").symlink_to(checkout)
    (checkout.parent / "link").symlink_to(checkout)
    text = spelling.format(output, root=checkout)
    said = refusal(**{key: [text] if "urls" in key else text})
    shown = key.replace("__", ".")
    assert said.startswith(f"{shown}: ") and f" is in {output}, where the pipeline writes; " in said
    assert not (checkout / "data").exists()


@pytest.mark.parametrize("text", [".", "..", "/", "data", "models/..", "elsewhere"])
def test_no_setting_may_point_above_an_output(checkout, text):
    (checkout.parent / "disk/raw").mkdir(parents=True)
    (checkout / "elsewhere").symlink_to(checkout.parent / "disk")
    (checkout / "data").mkdir()
    (checkout / "data/raw").symlink_to(checkout.parent / "disk/raw")
    assert " contains data/raw, where the pipeline writes; " in refusal(data__folder__images=text)


def test_files_that_an_output_links_to_are_its_own(checkout):
    (checkout.parent / "disk/raw/mine").mkdir(parents=True)
    (checkout / "data").mkdir()
    (checkout / "data/raw").symlink_to(checkout.parent / "disk/raw")
    assert " is in data/raw, " in refusal(data__folder__masks=str(checkout.parent / "disk/raw/mine"))


@pytest.mark.parametrize(
    "address", ["file://{}/data/raw", "file://localhost{}/data/processed/x", "file://{}/dat%61/raw"]
)
def test_a_file_address_may_not_point_into_an_output_either(checkout, address):
    assert "where the pipeline writes" in refusal(data__oxford_pet__urls=["https://host/", address.format(checkout)])


@pytest.mark.parametrize("text", ["data/own/images", "data/raw-of-mine", "modelszoo", "../data/raw", "x" * 90_000])
def test_other_folders_are_not_refused(text):
    run(data__folder__images=text, data__oxford_pet__urls=[text, "https://host/data/raw", "~nobody-of-that-name/x"])
    assert (TARGET / "images/a.jpg").is_file()


def test_outputs_of_the_main_checkout_count_in_a_temporary_copy(checkout, monkeypatch):
    copy = checkout / ".dvc/tmp/exps/copy"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(checkout))
    for text in ("data/raw/images", str(checkout / "models"), str(copy / "data/raw")):
        assert "where the pipeline writes" in refusal(data__folder__images=text)


def test_a_temporary_copy_gets_links_to_the_files_that_it_lacks(checkout, monkeypatch):
    own, copy = checkout / "data/own/images", checkout.parent / "copy"
    (own / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.png", "c.png"):
        (own / name).write_bytes(name.encode())
    (copy / "data/own/images").mkdir(parents=True)
    (copy / "data/own/images/c.png").write_bytes(b"of the copy")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(checkout))
    run(data__folder__masks=str(own))
    found = content(copy / "data/own")
    assert found == {"images/a.png": b"a.png", "images/deep/b.png": b"deep/b.png", "images/c.png": b"of the copy"}


@pytest.mark.parametrize("text", ["~/mine", "../mine", "{}/mine"])
def test_folders_outside_the_checkout_are_not_linked(checkout, monkeypatch, text):
    (checkout.parent / "mine").mkdir()
    (checkout.parent / "mine/a.png").touch()
    copy = checkout.parent / "deep/copy"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(checkout))
    monkeypatch.setenv("HOME", str(checkout.parent))
    run(data__folder__images=text.format(checkout.parent))
    assert os.listdir(copy) == ["data"] and os.listdir(copy / "data") == ["raw"] and os.listdir(copy.parent) == ["copy"]


def test_paths_of_a_user_are_below_the_main_checkout_and_a_tilde_is_the_home(checkout, monkeypatch):
    monkeypatch.setenv("HOME", "/home/of a user")
    assert user_path("~/own") == Path("/home/of a user/own")
    assert user_path("own/a") == workspace.main_checkout() / "own/a"
    assert user_path("/own") == Path("/own")
    with pytest.raises(InputError, match="~nobody-of-that-name/x: there is no such user; write the whole path"):
        user_path("~nobody-of-that-name/x")
