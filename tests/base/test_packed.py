"""Rows of a .npy file read one by one, as numpy would index the whole array."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.base.packed import (
    BACKGROUND,
    FOREGROUND,
    IGNORED,
    Rows,
    open_split,
    read_samples,
    read_summary,
    summary_digest,
    verified,
)
from tests.tiny import few, make_project, many


def write(path: Path, shape: tuple[int, ...], dtype=np.uint8) -> np.ndarray:
    array = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    np.save(path, array)
    return array


@few
@given(st.data(), st.integers(1, 9), st.sampled_from([(1,), (3,), (4, 5, 3)]))
def test_rows_are_those_of_the_array(tmp_path_factory, data, count, shape):
    path = tmp_path_factory.mktemp("rows") / "x.npy"
    array = write(path, (count, *shape))
    rows = Rows(path)
    assert (len(rows), rows.shape, rows.dtype) == (count, array.shape, np.uint8)
    for chosen in (
        data.draw(st.integers(0, count - 1)),
        data.draw(st.slices(count)),
        np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=6)), dtype=np.int64),
    ):
        assert np.array_equal(rows[chosen], array[chosen])
        assert rows[chosen].dtype == np.uint8


def test_what_is_read_is_a_copy_of_its_own(tmp_path):
    array = write(tmp_path / "x.npy", (3, 4))
    rows = Rows(tmp_path / "x.npy")
    rows[0][:] = rows[1:][:] = 0
    assert np.array_equal(rows[:], array)


@pytest.mark.parametrize("row", [3, -1, np.array([0, 3]), np.array([-1])])
def test_a_row_that_is_not_there_is_an_index_error(tmp_path, row):
    write(tmp_path / "x.npy", (3, 4))
    with pytest.raises(IndexError, match=r"x\.npy: there is no row (3|-1) of 3"):
        Rows(tmp_path / "x.npy")[row]


def test_threads_may_read_at_once(tmp_path):
    array = write(tmp_path / "x.npy", (50, 1000))
    rows = Rows(tmp_path / "x.npy")
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda number: rows[number % 50], range(400)))
    assert all(np.array_equal(row, array[number % 50]) for number, row in enumerate(read))


def test_reading_maps_nothing(tmp_path):
    """Resident memory must not grow with what has been read."""
    write(tmp_path / "x.npy", (50, 1000))
    rows = Rows(tmp_path / "x.npy")
    assert rows[:].sum() > 0
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list a process's maps")
    assert "x.npy" not in maps.read_text(encoding="utf-8")


def test_a_file_cut_while_it_is_read_is_an_error_and_not_a_crash(tmp_path):
    path = tmp_path / "x.npy"
    write(path, (4, 4096))
    rows = Rows(path)
    os.truncate(path, path.stat().st_size - 5000)
    assert len(rows[0]) == 4096
    with pytest.raises(OSError, match=r"x\.npy: row 3 ends early"):
        rows[3]


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    make_project(folder, trainval=4, test=3)
    return folder / "data/processed"


FILES = ["samples.csv", "summary.json", "test/original_masks.zip"]
FILES += [f"{split}/{kind}.npy" for split in ("train", "valid", "test") for kind in ("images", "masks")]


def open_all(folder: Path) -> None:
    """All that a stage may read."""
    for split in ("train", "valid", "test"):
        open_split(folder, split)
        read_samples(folder, split)
    verified(folder, "test/original_masks.zip")


def test_what_was_packed_is_read_and_nothing_else_is_there(processed):
    open_all(processed)
    assert [row["row"] for row in read_samples(processed, "test")] == [0, 1, 2]
    names = {path.relative_to(processed).as_posix() for path in processed.rglob("*") if path.is_file()}
    assert names == set(FILES) == read_summary(processed)["files"].keys() | {"summary.json"}


@many
@given(st.data(), st.sampled_from(FILES))
def test_any_damage_to_any_packed_file_is_one_line(processed, tmp_path_factory, data, name):
    """A changed pixel, column, statistic or digest: nothing else in the files is checked."""
    folder = tmp_path_factory.mktemp("damaged") / "processed"
    shutil.copytree(processed, folder)
    content = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    (folder / name).write_bytes(content)
    if name == "summary.json" and same_json(content, processed / name):
        return
    with pytest.raises(InputError, match=rf"{name} .*; run 'dvc repro' or 'dvc pull'") as caught:
        open_all(folder)
    assert str(caught.value).isprintable()


def same_json(content: bytes, path: Path) -> bool:
    try:
        return json.loads(content) == json.loads(path.read_bytes())
    except ValueError:
        return False


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("instead", [Path.mkdir, os.mkfifo, lambda path: None], ids=["folder", "pipe", "nothing"])
def test_what_is_not_a_file_is_refused_and_not_waited_for(processed, tmp_path, name, instead):
    folder = tmp_path / "processed"
    shutil.copytree(processed, folder)
    (folder / name).unlink()
    instead(folder / name)
    with pytest.raises(InputError, match=rf"{name} is missing"):
        open_all(folder)


def test_a_summary_of_another_version_is_refused(processed, tmp_path):
    summary = read_summary(processed)
    del summary["files"]
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"sha256": summary_digest(summary)}))
    with pytest.raises(InputError, match="from another version of segkit"):
        open_all(tmp_path)


def test_files_of_two_runs_are_not_mixed(processed, tmp_path):
    make_project(tmp_path, trainval=4, test=3, border="background")
    shutil.copy(processed / "test/masks.npy", tmp_path / "data/processed/test/masks.npy")
    with pytest.raises(InputError, match=r"test/masks\.npy is damaged, or does not belong to this summary\.json"):
        open_split(tmp_path / "data/processed", "test")


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"size": 1}', '{"sha256": null}', "[" * 100_000])
def test_another_json_file_is_not_a_summary(tmp_path, content):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(InputError, match=r"summary\.json .*run 'dvc repro' or 'dvc pull'"):
        read_summary(tmp_path)


def test_the_values_of_a_mask_are_those_of_the_contract():
    """base/ is declared by no stage, so an edit of them would go unnoticed."""
    assert (BACKGROUND, FOREGROUND, IGNORED) == (0, 1, 255)
