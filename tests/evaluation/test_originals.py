"""The test masks at their own sizes: in the order asked for, or named when they are not what was packed."""

import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import read_samples
from segkit.dataset.preprocess import preprocess
from segkit.evaluation.originals import read_original_masks
from tests.tiny import RawSet, many, options, pet


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A test set of names that a zip could confuse, each of another size."""
    folder = tmp_path_factory.mktemp("originals")
    raw = RawSet(folder / "raw", trainval=4, test=3)
    for number, name in enumerate(("x_9", "x_9.png")):
        raw.add("test", name, *pet(number, 20 + number, 30 + 2 * number))
    preprocess(raw.folder, folder / "processed", options(border="ignore"), workers=2)
    return raw, folder / "processed"


def test_they_are_the_masks_as_they_came(packed):
    raw, processed = packed
    rows = read_samples(processed, "test")[::-1]
    assert len(rows) == 5
    for row, mask in zip(rows, read_original_masks(processed, rows), strict=True):
        trimap = np.asarray(Image.open(raw.mask(row["name"])))
        assert np.array_equal(mask, np.uint8([9, 1, 0, 255])[trimap])


def test_packing_twice_gives_the_same_bytes(packed, tmp_path):
    raw, processed = packed
    preprocess(raw.folder, tmp_path / "again", options(border="ignore"), workers=1)
    names = ("test/original_masks.zip", "samples.csv", "summary.json")
    assert all((tmp_path / "again" / name).read_bytes() == (processed / name).read_bytes() for name in names)


@pytest.mark.parametrize("change", [{"name": "gone"}, {"width": 7}, {"height": 7}])
def test_what_the_rows_do_not_say_is_refused(packed, change):
    rows = read_samples(packed[1], "test")
    with pytest.raises(InputError, match=r"original_masks\.zip cannot be used .*; run 'dvc repro preprocess'"):
        list(read_original_masks(packed[1], [rows[0], rows[1] | change]))


@many
@given(st.data())
def test_a_damaged_file_is_refused_or_read(packed, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged-originals"
    (folder / "test").mkdir(parents=True, exist_ok=True)
    content = bytearray((packed[1] / "test/original_masks.zip").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "test/original_masks.zip").write_bytes(content)
    rows = read_samples(packed[1], "test")
    try:
        assert len(list(read_original_masks(folder, rows))) == len(rows)
    except InputError as fault:
        assert str(fault).isprintable()


def test_a_missing_file_is_named(packed, tmp_path):
    shutil.copytree(packed[1], tmp_path / "processed")
    (tmp_path / "processed/test/original_masks.zip").unlink()
    with pytest.raises(InputError, match=r"original_masks\.zip cannot be used"):
        list(read_original_masks(tmp_path / "processed", read_samples(packed[1], "test")))


def test_nothing_in_the_file_tells_when_it_was_made(packed):
    with zipfile.ZipFile(packed[1] / "test/original_masks.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
