"""Masks that look wrong, objects that vanish, and what resizing costs."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.base.errors import InputError, counted
from segkit.base.packed import open_split
from segkit.dataset.catalog import Sample
from segkit.dataset.findings import describe, remarks
from segkit.dataset.meaning import Meaning
from segkit.dataset.packing import pack_sample
from segkit.dataset.pictures import Reading
from tests.dataset.own import SPLITS, OwnSet, disc, scene
from tests.tiny import few, options

TRUTHS = [disc(number) for number in range(10)]


def refusal(own: OwnSet, target, **changes) -> str:
    with pytest.raises(InputError) as caught:
        own.pack(target, **changes)
    assert not target.exists()
    return str(caught.value)


def images() -> list[Image.Image]:
    return [scene(truth, number) for number, truth in enumerate(TRUTHS)]


@pytest.mark.parametrize("which", [range(10), range(5), [3]], ids=["all", "half", "one"])
def test_reversed_masks_are_named(tmp_path, which):
    masks = [~truth if number in which else truth for number, truth in enumerate(TRUTHS)]
    own = OwnSet(tmp_path / "raw", masks, images())
    said = refusal(own, tmp_path / "out")
    names = [f"s{number}" for number in which]
    assert said.startswith(f"{len(names)} of 10 masks look reversed, with foreground along the edge of the image (s")
    assert "preprocess.on_suspect to report" in said
    summary = own.pack(tmp_path / "out", on_suspect="report")
    assert summary["reversed"] == sorted(names)
    assert f"reversed: {counted(len(names), 'mask')}" in "; ".join(remarks(summary))


def test_the_advice_for_masks_that_are_all_reversed_leads_to_right_ones(tmp_path):
    own = OwnSet(tmp_path / "raw", [~truth for truth in TRUTHS], images())
    assert "data.folder.foreground to the values of foreground ([0] for black on white)" in refusal(
        own, tmp_path / "out"
    )
    own.pack(tmp_path / "out", (24, 30), folder={"foreground": (0,)})
    assert np.array_equal(open_split(tmp_path / "out", "test").masks[0], TRUTHS[4])


def test_objects_that_fill_the_image_are_not_called_reversed(tmp_path):
    """A close-up among others that are not: its background is far smaller than the usual object."""
    full = np.ones((24, 30), bool)
    full[10, 12:14] = False
    summary = OwnSet(tmp_path / "raw", [*TRUTHS, full]).pack(tmp_path / "out", on_suspect="fail")
    assert summary["reversed"] == []


def test_masks_without_background_are_named(tmp_path):
    summary = OwnSet(tmp_path / "raw", [*TRUTHS, np.ones((24, 30), bool)]).pack(tmp_path / "out", on_suspect="fail")
    assert summary["no_background"] == ["s10"] and summary["reversed"] == []
    assert "no background: 1 mask (s10; all in summary.json)" in remarks(summary)


def test_constant_images_have_a_reason_of_their_own(tmp_path):
    shown = images()
    shown[2] = Image.new("RGB", (30, 24), "red")
    shown[6] = Image.fromarray(np.full((24, 30), 9, np.uint8))
    own = OwnSet(tmp_path / "raw", TRUTHS, shown)
    reason = "image: all its pixels have the same colour"
    assert f"2 of 10 samples cannot be used: s2 ({reason}), s6 ({reason})" in refusal(own, tmp_path / "out")
    summary = own.pack(tmp_path / "out", on_bad="skip")
    assert (summary["skipped"], summary["leakage"]) == ({"s2": reason, "s6": reason}, [])


def test_a_mask_that_is_all_ignored_is_refused(tmp_path):
    own = OwnSet(tmp_path / "raw")
    for number, truth in enumerate(TRUTHS):
        mask = truth.astype(np.uint8)
        mask[0, 0] = 255
        mask = np.full_like(mask, 255) if number == 3 else mask
        own.add(f"s{number}", SPLITS[number % 5], images()[number], Image.fromarray(mask))
    assert "s3 (every pixel of the mask is ignored)" in refusal(own, tmp_path / "out", on_empty="keep")


def test_several_masks_of_one_image_are_united(tmp_path):
    own = OwnSet(tmp_path / "raw")
    for number, truth in enumerate(TRUTHS):
        left = truth.copy()
        left[:, :15] = False
        parts = [Image.fromarray(part) for part in (left, truth & ~left)]
        own.add(f"s{number}", SPLITS[number % 5], images()[number], *parts)
    own.pack(tmp_path / "out", (24, 30))
    assert np.array_equal(open_split(tmp_path / "out", "test").masks[0], TRUTHS[4])


def tiny_objects(folder) -> OwnSet:
    """Sample s0 has one pixel of foreground, which no row of 16x16 px shows; s1 has none at all."""
    masks = [disc(number, 60, 60) for number in range(10)]
    masks[0], masks[1] = np.zeros((2, 60, 60), bool)
    masks[0][0, 0] = True
    return OwnSet(folder, masks)


def test_objects_that_vanish_are_refused_skipped_or_kept_and_said(tmp_path):
    own = tiny_objects(tmp_path / "raw")
    said = refusal(own, tmp_path / "out")
    assert said.startswith(
        "1 of 10 masks lose all foreground at 16x16 px (s0); 1 of 10 samples cannot be used: s1 (the "
    )
    assert "raise preprocess.size or set preprocess.resize to tile" in said
    assert said.endswith("or set preprocess.on_empty to skip or keep")

    skipped = own.pack(tmp_path / "skip", on_empty="skip")
    reasons = {"s0": "its foreground vanishes at 16x16 px", "s1": "the mask has no foreground"}
    assert (skipped["skipped"], skipped["vanished"]) == (reasons, ["s0"])
    kept = own.pack(tmp_path / "keep", on_empty="keep")
    assert (kept["skipped"], kept["vanished"]) == ({}, ["s0"])
    for summary in (skipped, kept):
        said = "; ".join(remarks(summary))
        assert "1 of 10 masks lose all foreground at 16x16 px (s0); raise preprocess.size" in said
    assert kept["best_dice"]["worst"] == 0 and kept["best_dice"]["worst_name"] == "s0"


def test_the_advice_about_objects_that_vanish_works(tmp_path):
    own = tiny_objects(tmp_path / "raw")
    for name, changes in (("larger", {"size": (60, 60)}), ("tiled", {"resize": "tile"})):
        summary = own.pack(tmp_path / name, on_empty="skip", **changes)
        assert summary["skipped"].keys() == {"s1"} and summary["vanished"] == []


@pytest.mark.parametrize("resize", ["stretch", "fit"])
def test_the_best_possible_dice_is_that_of_the_packed_mask_scaled_back(tmp_path, resize):
    truths = [disc(number, 50 + 7 * number, 40) for number in range(5)]
    best = OwnSet(tmp_path / "raw", truths).pack(tmp_path / "out", (16, 24), resize=resize)["best_dice"]
    found = {}
    for number, truth in enumerate(truths):
        height, width = truth.shape
        scale = min(16 / height, 24 / width)
        content = (24, 16) if resize == "stretch" else (round(width * scale), round(height * scale))
        packed = Image.fromarray(truth.astype(np.uint8)).resize(content, Image.Resampling.NEAREST)
        predicted = np.asarray(packed.convert("F").resize((width, height), Image.Resampling.BILINEAR)) >= 0.5
        found[f"s{number}"] = 2 * (truth & predicted).sum() / (truth.sum() + predicted.sum())
    assert best["mean"] == pytest.approx(np.mean(list(found.values())), abs=0.01)
    assert best["worst"] == pytest.approx(min(found.values()), abs=0.01)
    assert best["worst_name"] == min(found, key=found.get)


def bilinear(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``small`` enlarged to ``shape``: each pixel's centre is looked up between its neighbours."""
    for axis, side in enumerate(shape):
        old = small.shape[axis]
        place = np.clip((np.arange(side) + 0.5) * old / side - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, old - 1)
        small = np.take(small, low, axis) * (1 - share) + np.take(small, high, axis) * share
    return small


@few
@given(st.integers(0, 1000), st.tuples(st.integers(17, 80), st.integers(17, 80)), st.sampled_from(["stretch", "fit"]))
def test_the_best_possible_dice_leaves_ignored_pixels_out(tmp_path_factory, seed, shape, resize):
    folder = tmp_path_factory.getbasetemp()
    mask = np.kron(np.random.default_rng(seed).choice(np.uint8([0, 1, 255]), (20, 20)), np.ones((4, 4), np.uint8))
    mask = np.ascontiguousarray(mask[: shape[0], : shape[1]])
    mask[0, 0] = 1
    scene(mask == 1, seed).save(folder / "image", "PNG")
    Image.fromarray(mask).save(folder / "mask", "PNG")
    sample = Sample("x", "train", "", folder / "image", (folder / "mask",), trimap=False)
    reading = Reading(Meaning("grey", "", (1,), (255,)), "foreground")
    result = pack_sample(sample, reading, options((16, 16), resize=resize, on_empty="keep"))
    (box,) = result.windows
    row = np.frombuffer(result.masks, np.uint8).reshape(16, 16)[: box.content_height, : box.content_width]
    predicted = (bilinear((row == 1).astype(float), mask.shape) >= 0.5) & (mask != 255)
    overlap, total = (predicted & (mask == 1)).sum(), predicted.sum() + (mask == 1).sum()
    assert result.best == pytest.approx(2 * overlap / total, abs=0.02)


def test_without_resizing_nothing_is_lost(tmp_path):
    own = OwnSet(tmp_path / "raw", TRUTHS)
    assert own.pack(tmp_path / "same", (24, 30))["best_dice"] == pytest.approx(
        {"mean": 1, "worst": 1, "worst_name": "s0"}
    )
    assert own.pack(tmp_path / "tile", resize="tile")["best_dice"] is None


def test_masks_of_the_test_set_are_kept_at_their_own_size(tmp_path):
    OwnSet(tmp_path / "raw", TRUTHS).pack(tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out/test/original_masks.zip") as archive:
        assert archive.namelist() == ["s4.png", "s9.png"]
        with archive.open("s9.png") as file:
            assert np.array_equal(np.asarray(Image.open(file)), TRUTHS[9])


@pytest.mark.parametrize("border", ["foreground", "background", "ignore"])
def test_the_border_of_own_trimaps_is_kept_whatever_it_becomes(tmp_path, border):
    own = OwnSet(tmp_path / "raw")
    for number, split in enumerate(SPLITS):
        trimap = np.where(TRUTHS[number], 1, 2).astype(np.uint8)
        trimap[0] = 3
        own.add(f"s{number}", split, scene(TRUTHS[number], number), Image.fromarray(trimap))
    own.pack(tmp_path / "out", (24, 30), border=border)
    with zipfile.ZipFile(tmp_path / "out/test/original_masks.zip") as archive, archive.open("s4.png") as file:
        labels = np.asarray(Image.open(file))
    assert np.array_equal(labels[0], [2] * 30) and np.array_equal(labels[1:], TRUTHS[4][1:])
    packed = open_split(tmp_path / "out", "test").masks[0]
    assert np.array_equal(packed[0], [{"foreground": 1, "background": 0, "ignore": 255}[border]] * 30)


def test_statistics_and_shares_leave_padding_out(tmp_path):
    """``fit`` of a flat image pads two thirds of the row."""
    truths = [disc(number, 60, 20) for number in range(10)]
    summary = OwnSet(tmp_path / "raw", truths).pack(tmp_path / "out", (30, 30), resize="fit")
    train = open_split(tmp_path / "out", "train")
    seen, masks = train.images[:][:, :10] / 255, train.masks[:]
    assert summary["normalize"]["dataset"]["mean"] == pytest.approx(seen.mean((0, 1, 2)))
    assert summary["normalize"]["dataset"]["std"] == pytest.approx(seen.std((0, 1, 2)))
    assert summary["splits"]["train"]["foreground"] == pytest.approx((masks == 1).sum() / (masks != 255).sum())


def test_windows_are_counted_and_said(tmp_path):
    summary = OwnSet(tmp_path / "raw", TRUTHS).pack(tmp_path / "out", resize="tile")
    assert json.loads((tmp_path / "out/summary.json").read_text())["splits"]["test"]["windows"] == 2 * 6
    assert "6 train (36 windows), 2 valid (12 windows), 2 test (12 windows) at 16x16 px" in describe(summary)
