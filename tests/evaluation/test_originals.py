"""The test pictures as they came: in order, a few ahead, or named when they are gone."""

import numpy as np
import pytest
from PIL import Image

from segkit.data.catalog import read_catalog
from segkit.errors import InputError
from segkit.evaluation.originals import AHEAD, find_originals, read_original, read_originals
from tests.tiny import RawSet


@pytest.fixture
def raw(tmp_path) -> RawSet:
    return RawSet(tmp_path / "raw", trainval=2, test=AHEAD + 5)


def rows(names: list[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize("workers", [1, 4])
def test_they_come_in_order_at_their_own_sizes(raw, workers):
    samples = find_originals(raw.folder, rows(raw.lists["test"]))
    found = list(read_originals(samples, "foreground", workers))
    assert len(found) == AHEAD + 5
    for name, original in zip(raw.lists["test"], found, strict=True):
        assert np.array_equal(original.picture, Image.open(raw.picture(name)))
        assert np.array_equal(original.mask, np.asarray(Image.open(raw.mask(name))) != 2)


@pytest.mark.parametrize(("border", "value"), [("foreground", 1), ("background", 0), ("ignore", 255)])
def test_the_border_becomes_what_it_was_trained_as(raw, border, value):
    (sample,) = find_originals(raw.folder, rows(raw.lists["test"][:1]))
    trimap = np.asarray(Image.open(sample.mask))
    assert set(read_original(sample, border).mask[trimap == 3].tolist()) == {value}


def test_the_order_is_that_of_the_rows_not_of_the_lists(raw):
    names = raw.lists["test"][::-1]
    assert [sample.name for sample in find_originals(raw.folder, rows(names))] == names


def test_no_more_than_a_few_are_decoded_ahead(raw):
    asked = []

    class Samples(list):
        def __iter__(self):
            for sample in super().__iter__():
                asked.append(sample.name)
                yield sample

    reader = read_originals(Samples(read_catalog(raw.folder)), "foreground", 2)
    for given in range(5):
        next(reader)
        assert len(asked) <= given + 1 + AHEAD
    reader.close()


def test_a_file_that_cannot_be_used_any_more_is_named(raw):
    sample = read_catalog(raw.folder)[-1]
    sample.mask.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{sample.name}\.png: mask: the file is empty; run 'dvc repro preprocess'"):
        read_original(sample, "foreground")


def test_all_that_the_raw_data_lack_are_counted(raw):
    with pytest.raises(InputError, match=r"lacks 2 samples of the packed data \(gone_1, …\)"):
        find_originals(raw.folder, rows([*raw.lists["test"], "gone_1", "gone_2"]))
