"""The test masks at their own sizes, in the order asked for."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from segkit.dataset.preprocess import preprocess
from segkit.evaluation.images import ImageSet
from tests.tiny import RawSet, options, pet


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
    test = ImageSet.open(processed, "test")
    assert len(test) == 5
    for (row,), mask in zip(test.rows[::-1], test.original_masks([4, 3, 2, 1, 0]), strict=True):
        trimap = np.asarray(Image.open(raw.mask(row["name"])))
        assert np.array_equal(mask, np.uint8([9, 1, 0, 255])[trimap])
    for (row,), labels in zip(test.rows, test.original_labels(), strict=True):
        assert np.array_equal(labels, np.uint8([9, 1, 0, 2])[np.asarray(Image.open(raw.mask(row["name"])))])


def test_packing_twice_gives_the_same_bytes(packed, tmp_path):
    raw, processed = packed
    preprocess(raw.folder, tmp_path / "again", options(border="ignore"), workers=1)
    names = ("test/original_masks.zip", "samples.csv", "summary.json")
    assert all((tmp_path / "again" / name).read_bytes() == (processed / name).read_bytes() for name in names)


def test_nothing_in_the_file_tells_when_it_was_made(packed):
    with zipfile.ZipFile(packed[1] / "test/original_masks.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
