"""Files and folders appear whole or not at all, and never through a hard link into a cache."""

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base import files
from tests.tiny import few


class Broken(Exception):
    """What goes wrong in the middle of writing."""


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_folder(tmp_path):
    with files.atomic_write(tmp_path / "a" / "b.bin") as file:
        file.write(b"whole")
        assert not (tmp_path / "a" / "b.bin").exists()
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"whole"
    assert names(tmp_path / "a") == ["b.bin"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(Broken), files.atomic_write(tmp_path / "x") as file:
        file.write(b"half")
        raise Broken
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_ctrl_c_while_writing_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.atomic_write(tmp_path / "x"):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_hard_link_to_the_old_file_keeps_the_old_bytes(tmp_path):
    (tmp_path / "cache").write_bytes(b"old")
    os.link(tmp_path / "cache", tmp_path / "x")
    with files.atomic_write(tmp_path / "x") as file:
        file.write(b"new")
    assert (tmp_path / "cache").read_bytes() == b"old"
    assert (tmp_path / "x").read_bytes() == b"new"


def test_bytes_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *args, _n=name, _r=real: (calls.append(_n), _r(*args)))
    with files.atomic_write(tmp_path / "x") as file:
        file.write(b"x")
    assert calls == ["fsync", "replace", "fsync"]  # the last one is the folder's


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    with files.atomic_folder(tmp_path / "set") as folder:
        (folder / "new").touch()
        assert names(tmp_path / "set") == ["old"]
    assert names(tmp_path / "set") == ["new"]
    assert names(tmp_path) == ["set"]


def test_a_failed_folder_leaves_the_old_one_and_the_next_try_starts_empty(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    with pytest.raises(Broken), files.atomic_folder(tmp_path / "set") as folder:
        (folder / "half").touch()
        raise Broken
    assert names(tmp_path / "set") == ["old"]
    assert names(tmp_path) == ["set"]
    with files.atomic_folder(tmp_path / "set") as folder:
        assert names(folder) == []


def test_removing_a_link_leaves_what_it_points_at(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    files.remove(tmp_path / "link")
    assert names(tmp_path) == ["data"]
    assert names(tmp_path / "data") == ["x"]


def test_removing_takes_files_and_folders_and_what_is_not_there(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").touch()
    for name in ("a", "c", "missing"):
        files.remove(tmp_path / name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [-float("inf")]}])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(tmp_path, value):
    files.write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == {"old": 1}
    assert names(tmp_path) == ["x.json"]


FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@few
@given(JSON)
def test_json_is_read_back_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "x.json"
    files.write_json(path, value)
    assert files.read_json(path) == value
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert path.read_bytes().endswith(b"\n")


@few
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])), st.integers())))
def test_csv_is_read_back_as_it_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    files.write_csv(path, ("name", "number"), rows)
    assert list(files.csv_rows(path)) == [{"name": name, "number": str(number)} for name, number in rows]
    assert b"\r" not in path.read_bytes()


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert files.digest(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert files.digest(tmp_path / "x", "md5") == hashlib.md5(b"abc" * 100_000).hexdigest()
