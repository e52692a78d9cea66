"""Packing: what the files hold, and what happens to samples that cannot be used."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from segkit.base.errors import InputError
from segkit.base.files import csv_rows, digest
from segkit.base.packed import SAMPLE_COLUMNS, open_split, read_samples, read_summary
from segkit.dataset.findings import IMAGENET
from segkit.dataset.preprocess import preprocess
from tests.tiny import RawSet, options, pet

SIZE = (24, 32)  # height, width
SPLITS = {"train": 18, "valid": 2, "test": 3}


@pytest.fixture
def raw(tmp_path) -> RawSet:
    return RawSet(tmp_path / "raw", trainval=20, test=3)


def expected_names(raw: RawSet) -> dict[str, list[str]]:
    trainval = raw.lists["trainval"]
    train = [name for i, name in enumerate(trainval) if i % 10]
    return {"train": train, "valid": trainval[::10], "test": raw.lists["test"]}


def files(folder) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): digest(path) for path in folder.rglob("*") if path.is_file()}


def spoil(raw: RawSet) -> dict[str, str]:
    """Damage four samples, each in another way; what the fault's text must say of each."""
    names = raw.lists["trainval"]
    raw.picture(names[1]).write_bytes(b"")
    raw.mask(names[2]).unlink()
    Image.new("L", (5, 5), 1).save(raw.mask(names[0]))
    Image.new("L", Image.open(raw.picture(names[19])).size, 7).save(raw.mask(names[19]))
    other_values = "the trimap holds values other than 1 (pet)"
    reasons = ["the mask is 5x5", "image: the file is empty", "mask: no such file", other_values]
    return dict(zip([names[0], names[1], names[2], names[19]], reasons, strict=True))


def test_the_arrays_hold_what_pillow_makes_of_each_sample_in_order(raw, tmp_path):
    preprocess(raw.folder, tmp_path / "out", options(SIZE))
    for split, names in expected_names(raw).items():
        packed = open_split(tmp_path / "out", split)
        assert (packed.images.shape, packed.images.dtype) == ((SPLITS[split], *SIZE, 3), np.uint8)
        assert (packed.masks.shape, packed.masks.dtype) == ((SPLITS[split], *SIZE), np.uint8)
        for row, name in enumerate(names):
            picture = Image.open(raw.picture(name)).resize(SIZE[::-1], Image.Resampling.BILINEAR)
            trimap = Image.open(raw.mask(name)).resize(SIZE[::-1], Image.Resampling.NEAREST)
            assert np.array_equal(packed.images[row], picture)
            assert np.array_equal(packed.masks[row], np.asarray(trimap) != 2)


def test_samples_csv_names_each_row_with_its_breed_and_original_size(raw, tmp_path):
    preprocess(raw.folder, tmp_path / "out", options(SIZE))
    assert tuple(next(csv_rows(tmp_path / "out" / "samples.csv"))) == SAMPLE_COLUMNS
    for split, names in expected_names(raw).items():
        rows = read_samples(tmp_path / "out", split)
        assert [row["name"] for row in rows] == names
        assert [row["row"] for row in rows] == list(range(len(names)))
        assert {row["group"] for row in rows} <= {"cat", "big_dog"}
        assert [(row["width"], row["height"]) for row in rows] == [Image.open(raw.picture(name)).size for name in names]


def test_the_files_are_those_of_the_contract_and_nothing_else(raw, tmp_path):
    preprocess(raw.folder, tmp_path / "out", options(SIZE))
    arrays = {f"{split}/{kind}.npy" for split in SPLITS for kind in ("images", "masks")}
    assert files(tmp_path / "out").keys() == arrays | {"samples.csv", "summary.json", "test/original_masks.zip"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]


def test_the_summary_agrees_with_numpy_on_the_arrays(raw, tmp_path):
    returned = preprocess(raw.folder, tmp_path / "out", options(SIZE))
    summary = read_summary(tmp_path / "out")
    assert summary == returned
    assert (summary["size"], summary["border"], summary["skipped"]) == ([24, 32], "foreground", {})
    train = open_split(tmp_path / "out", "train").images[:] / 255
    numbers = summary["normalize"]
    assert (numbers["image"], numbers["imagenet"]) == (None, IMAGENET)
    assert numbers["dataset"]["mean"] == pytest.approx(train.mean((0, 1, 2)))
    assert numbers["dataset"]["std"] == pytest.approx(train.std((0, 1, 2)))
    for split, block in summary["splits"].items():
        assert block["images"] == SPLITS[split]
        assert block["foreground"] == pytest.approx((open_split(tmp_path / "out", split).masks[:] == 1).mean())
    assert all(found == digest(tmp_path / "out" / name) for name, found in summary["files"].items())


@pytest.mark.parametrize(("border", "value"), [("foreground", 1), ("background", 0), ("ignore", 255)])
def test_the_border_becomes_what_the_parameter_says(raw, tmp_path, border, value):
    summary = preprocess(raw.folder, tmp_path / "out", options(SIZE, border=border))
    trimap = np.stack([
        Image.open(raw.mask(name)).resize(SIZE[::-1], Image.Resampling.NEAREST) for name in raw.lists["test"]
    ])  # fmt: skip
    masks = open_split(tmp_path / "out", "test").masks[:]
    assert set(masks[trimap == 3].tolist()) == {value}
    assert set(masks[trimap == 1].tolist()) == {1}
    assert set(masks[trimap == 2].tolist()) == {0}
    foreground = (masks == 1).sum() / (masks != 255).sum()
    assert summary["splits"]["test"]["foreground"] == pytest.approx(foreground)


def test_a_large_jpeg_is_decoded_smaller_but_looks_the_same(raw, tmp_path):
    """Decoding at a half, a quarter or an eighth shows only in rounding; the original size is the file's."""
    picture, trimap = pet(5, 640, 480)
    raw.add("test", "large", picture.filter(ImageFilter.GaussianBlur(3)), trimap)
    Image.open(raw.picture("large")).save(raw.picture("large"), format="JPEG", quality=95)
    preprocess(raw.folder, tmp_path / "out", options(SIZE))
    packed = open_split(tmp_path / "out", "test").images[3].astype(int)
    whole = np.asarray(Image.open(raw.picture("large")).resize(SIZE[::-1], Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(packed - whole).mean() < 2
    row = read_samples(tmp_path / "out", "test")[-1]
    assert (row["name"], row["width"], row["height"]) == ("large", 640, 480)


def test_any_number_of_workers_gives_the_same_bytes(raw, tmp_path):
    raw_with_faults = spoil(raw)
    for workers in (1, 4):
        preprocess(raw.folder, tmp_path / str(workers), options(SIZE, on_bad="skip"), workers)
    assert len(raw_with_faults) == 4
    assert files(tmp_path / "1") == files(tmp_path / "4")


def test_all_files_that_cannot_be_used_are_listed_at_once(raw, tmp_path):
    faults = spoil(raw)
    with pytest.raises(InputError) as caught:
        preprocess(raw.folder, tmp_path / "out", options(SIZE))
    message = str(caught.value)
    assert message.startswith("4 of 23 samples cannot be used: ")
    for name, reason in faults.items():
        assert f"{name} ({reason}" in message
    assert message.endswith("fix them, or set preprocess.on_bad to skip")
    assert not (tmp_path / "out").exists()


def test_a_failed_run_keeps_what_was_packed_before(raw, tmp_path):
    preprocess(raw.folder, tmp_path / "out", options(SIZE))
    before = files(tmp_path / "out")
    spoil(raw)
    with pytest.raises(InputError):
        preprocess(raw.folder, tmp_path / "out", options(SIZE))
    assert files(tmp_path / "out") == before


def test_skipped_samples_leave_rows_that_belong_together(raw, tmp_path):
    preprocess(raw.folder, tmp_path / "whole", options(SIZE))
    faults = spoil(raw)
    summary = preprocess(raw.folder, tmp_path / "out", options(SIZE, on_bad="skip"))
    assert summary["skipped"].keys() == faults.keys()
    assert {split: block["images"] for split, block in summary["splits"].items()} == {
        "train": 15,
        "valid": 1,
        "test": 3,
    }
    for split in SPLITS:
        whole = {row["name"]: row["row"] for row in read_samples(tmp_path / "whole", split)}
        rows = read_samples(tmp_path / "out", split)
        assert [row["row"] for row in rows] == list(range(len(rows)))
        assert [row["name"] for row in rows] == [name for name in whole if name not in faults]
        before, after = open_split(tmp_path / "whole", split), open_split(tmp_path / "out", split)
        assert len(after) == len(rows)
        for row in rows:
            assert np.array_equal(after.images[row["row"]], before.images[whole[row["name"]]])
            assert np.array_equal(after.masks[row["row"]], before.masks[whole[row["name"]]])


def test_statistics_leave_skipped_samples_out(raw, tmp_path):
    spoil(raw)
    summary = preprocess(raw.folder, tmp_path / "out", options(SIZE, on_bad="skip"))
    train = open_split(tmp_path / "out", "train").images[:] / 255
    assert summary["normalize"]["dataset"]["mean"] == pytest.approx(train.mean((0, 1, 2)))
    assert summary["normalize"]["dataset"]["std"] == pytest.approx(train.std((0, 1, 2)))


def test_a_split_that_loses_all_its_samples_is_refused_even_when_skipping(raw, tmp_path):
    for name in raw.lists["test"]:
        raw.picture(name).write_bytes(b"no picture")
    with pytest.raises(InputError, match="no usable sample is left in the test set"):
        preprocess(raw.folder, tmp_path / "out", options(SIZE, on_bad="skip"))


def test_files_that_no_list_names_are_left_out(raw, tmp_path):
    preprocess(raw.folder, tmp_path / "clean", options(SIZE))
    for name in ("Abyssinian_100.mat", "._cat_1.jpg", "cat_99.jpg"):
        (raw.folder / "images" / name).write_bytes(b"no picture")
    (raw.folder / "annotations" / "trimaps" / "._cat_1.png").write_bytes(b"no picture")
    preprocess(raw.folder, tmp_path / "littered", options(SIZE))
    assert files(tmp_path / "littered") == files(tmp_path / "clean")


def test_pictures_of_every_kind_are_packed_together(raw, tmp_path):
    picture, trimap = pet(99)
    kinds = {"GIF": "P", "PNG": "RGBA", "JPEG": "L", "TIFF": "CMYK"}
    for image_format, mode in kinds.items():
        raw.add("test", f"odd_{image_format}", picture, trimap)
        picture.convert(mode).save(raw.picture(f"odd_{image_format}"), format=image_format)
    preprocess(raw.folder, tmp_path / "out", options(SIZE))
    odd = open_split(tmp_path / "out", "test").images[3:].astype(int)
    colours = np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR)).astype(int)
    by_kind = dict(zip(kinds, odd, strict=True))
    assert np.array_equal(by_kind["PNG"], colours)
    assert np.abs(by_kind["TIFF"] - colours).max() <= 2
    assert np.abs(by_kind["GIF"] - colours).mean() < 8
    assert (np.ptp(by_kind["JPEG"], axis=-1) == 0).all()
