"""Rows of a .npy file read one by one, as numpy would index the whole array."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.base.packed import BACKGROUND, FOREGROUND, IGNORED, Rows, open_split, read_samples, read_summary
from tests.tiny import few, make_project


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


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_an_array_of_objects_is_refused_and_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.full((2, 3), Trap(tmp_path / "sprung")), allow_pickle=True)
    with pytest.raises(ValueError, match="holds object, not rows of uint8"):
        Rows(tmp_path / "x.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes()[:20]),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"no array at all, but long enough for a header of the format"),
    lambda path: np.save(path, np.zeros((2, 3))),
    lambda path: np.save(path, np.asfortranarray(np.zeros((2, 3), np.uint8))),
    lambda path: np.save(path, np.zeros(3, np.uint8)),
    lambda path: path.unlink(),
])  # fmt: skip
def test_a_file_that_holds_no_rows_is_refused_in_one_line(tmp_path, spoil):
    for name in ("images", "masks"):
        (tmp_path / "train").mkdir(exist_ok=True)
        write(tmp_path / "train" / f"{name}.npy", (2, 3))
    spoil(tmp_path / "train/images.npy")
    with pytest.raises(InputError, match=r"train/images\.npy cannot be opened \(.+\); run 'dvc repro preprocess'"):
        open_split(tmp_path, "train")


def test_a_file_cut_while_it_is_read_is_an_error_and_not_a_crash(tmp_path):
    path = tmp_path / "x.npy"
    write(path, (4, 4096))
    rows = Rows(path)
    os.truncate(path, path.stat().st_size - 5000)
    assert len(rows[0]) == 4096
    with pytest.raises(OSError, match=r"x\.npy: row 3 ends early"):
        rows[3]


@pytest.fixture
def processed(tmp_path):
    make_project(tmp_path, trainval=4, test=3)
    return tmp_path / "data/processed"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) - 30],
        lambda text: text.replace("test,1,", "test,0,"),
        lambda text: text.replace("test,1,", "test,one,"),
        lambda text: text.replace("split,", "set,", 1),
        lambda text: "\udcff" + text,
    ],
)
def test_a_damaged_list_of_samples_is_refused_and_not_scored_in_part(processed, spoil):
    path = processed / "samples.csv"
    assert [row["row"] for row in read_samples(processed, "test")] == [0, 1, 2]
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=r"samples\.csv .*run 'dvc repro preprocess' or 'dvc pull'$"):
        read_samples(processed, "test")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"size": ', '{"size": 1, "border": "ignore", "normalize": 1, "splits": []}']
)
def test_a_damaged_summary_is_refused(processed, content):
    (processed / "summary.json").write_text(content)
    with pytest.raises(InputError, match=r"summary\.json .*\); run 'dvc repro.*' or 'dvc pull'$"):
        read_summary(processed)


def test_masks_of_other_pictures_are_refused(processed):
    np.save(processed / "test/masks.npy", np.zeros((2, 32, 32), np.uint8))
    with pytest.raises(InputError, match=r"\(3, 32, 32, 3\) and masks \(2, 32, 32\) do not belong together; run"):
        open_split(processed, "test")


def test_the_values_of_a_mask_are_those_of_the_contract():
    """base/ is declared by no stage, so an edit of them would go unnoticed."""
    assert (BACKGROUND, FOREGROUND, IGNORED) == (0, 1, 255)
