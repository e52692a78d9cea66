"""The first look at a user's own files: brightness, pages, bands, and files that cannot be read."""

import re

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import open_split, read_samples
from segkit.base.params import Folder
from segkit.dataset.catalog import read_catalog
from segkit.dataset.preprocess import preprocess
from segkit.dataset.survey import Survey, survey
from tests.dataset.masks import encoded, grey, settings, truth
from tests.tiny import OwnSet, options

SPLITS = ("train", "valid", "test")
TRUTHS = [truth(number, 32, 32) for number in range(6)]


@pytest.fixture
def own(tmp_path) -> OwnSet:
    return OwnSet(tmp_path / "raw")


def fill(own: OwnSet, images: list[bytes], masks: list[bytes] | None = None) -> None:
    """Samples with these files; masks are the truths."""
    masks = masks or [encoded(grey(mask)) for mask in TRUTHS[: len(images)]]
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        for kind, content in (("images", image), ("masks", mask)):
            (own.folder / kind / f"s{number}").write_bytes(content)
        own.list(f"s{number}", SPLITS[number % 3], f"images/s{number}", [f"masks/s{number}"])


def look(own: OwnSet, folder: Folder | None = None) -> Survey:
    return survey(read_catalog(own.folder, 10), options(), folder or settings(), 1)


def shown(own: OwnSet, folder: Folder | None = None) -> dict[str, np.ndarray]:
    """The packed image of each sample, in its own size."""
    out = own.folder.parent / "out"
    preprocess(own.folder, out, options((32, 32)), 1, folder or settings())
    return {
        row["name"]: open_split(out, split).images[row["row"]] for split in SPLITS for row in read_samples(out, split)
    }


def ramps(dtype: type, low: float, high: float) -> list[np.ndarray]:
    """Three images, each with a third of the range from ``low`` to ``high``."""
    step = (high - low) / 3
    return [np.linspace(low + n * step, low + (n + 1) * step, 32 * 32).reshape(32, 32).astype(dtype) for n in range(3)]


@pytest.mark.parametrize(
    ("dtype", "low", "high", "image_format"),
    [
        (np.uint16, 190, 4095, "PNG"),
        (np.uint16, 0, 65535, "TIFF"),
        (np.int32, -1000, 3000, "TIFF"),
        (np.float32, -0.5, 0.5, "TIFF"),
        (np.float32, 1e-8, 3e-8, "TIFF"),
        (np.float32, 0, 1, "TIFF"),
    ],
)
def test_one_scale_for_all_images_of_more_than_8_bits(own, dtype, low, high, image_format):
    """The brightest of one image is as bright as the darkest of the next."""
    fill(own, [encoded(values, image_format) for values in ramps(dtype, low, high)])
    found = look(own)
    assert found.reading.scale == pytest.approx((low, high), abs=0.01 * (high - low))
    assert re.search("3 images of more than 8 bits, .*….* scaled to 0…255", "; ".join(found.notes))
    images = shown(own)
    assert [round(images[f"s{n}"].mean()) for n in range(3)] == pytest.approx([42, 128, 213], abs=2)
    assert len(np.unique([images[f"s{n}"] for n in range(3)])) > 250


def test_outliers_do_not_darken_the_rest(own):
    images = ramps(np.uint16, 100, 1000)
    images[0][0, 0] = 65535
    fill(own, [encoded(values) for values in images])
    assert look(own).reading.scale == pytest.approx((100, 1000), abs=10)


def test_a_range_of_the_user_s_own_counts(own):
    fill(own, [encoded(values, "TIFF") for values in ramps(np.float32, -300, 900)])
    folder = settings(range=(0, 600))
    assert look(own, folder).reading.scale == (0, 600)
    assert "3 images of more than 8 bits, 0…600 scaled to 0…255" in look(own, folder).notes
    images = shown(own, folder)
    assert images["s0"].max() < 45 and images["s2"].min() > 210


def test_images_that_are_almost_everywhere_equal_need_a_range(own):
    values = np.zeros((32, 32), np.uint16)
    values[:1, :2] = 9
    fill(
        own,
        [encoded(np.pad(values, ((0, 64), (0, 64)))) for _ in range(3)],
        [encoded(grey(np.pad(t, ((0, 64), (0, 64))))) for t in TRUTHS[:3]],
    )
    with pytest.raises(InputError, match=r"data\.folder\.range: 3 images of more than 8 bits hold 0 almost everywhere"):
        look(own)
    assert look(own, settings(range=(0, 9))).reading.scale == (0, 9)


def test_images_of_8_bits_stay_as_they_are_beside_others(own):
    eight = np.arange(32 * 32).reshape(32, 32) % 200
    fill(own, [encoded(values) for values in ramps(np.uint16, 0, 4095)[:2]] + [encoded(eight.astype(np.uint8))])
    assert "2 images of more than 8 bits" in "; ".join(look(own).notes)
    assert np.array_equal(shown(own)["s2"][..., 0], eight)


def test_without_images_of_more_than_8_bits_there_is_no_range(own):
    fill(own, [encoded(np.zeros((32, 32), np.uint8))] * 3)
    assert look(own).summary()["range"] is None


def test_values_that_are_not_finite_take_no_part(own):
    images = ramps(np.float32, 0, 1)
    images[0][0, :9], images[1][:] = np.nan, np.inf
    fill(own, [encoded(values, "TIFF") for values in images])
    assert look(own).reading.scale == pytest.approx((0, 1), abs=0.01)


def test_the_fourth_band_of_a_tiff_is_left_out_and_said_to_be(own):
    bands = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    fill(own, [encoded(np.roll(bands, number, 1), "TIFF") for number in range(3)])
    assert "the fourth band of 3 TIFF images is not read" in look(own).notes
    assert np.array_equal(shown(own)["s1"], np.roll(bands, 1, 1)[..., :3])


def stack(arrays: list[np.ndarray]) -> bytes:
    first, *more = map(Image.fromarray, arrays)
    return encoded(first, "TIFF", save_all=True, append_images=more)


def pages(count: int) -> list[np.ndarray]:
    numbers = np.random.default_rng(count)
    return [numbers.integers(0, 256, (32, 32), dtype=np.uint8) for _ in range(count)]


def masks(count: int, values: tuple[int, int] = (0, 255)) -> list[np.ndarray]:
    return [np.where(mask, *values[::-1]).astype(np.uint8) for mask in TRUTHS[:count]]


def test_of_several_pages_the_first_counts_and_the_key_is_named(own):
    fill(own, [stack(pages(3)), stack(pages(1)), stack(pages(2))], [stack(masks(n)) for n in (3, 1, 2)])
    assert (
        look(own).notes[-1]
        == (
            "2 samples have several pages (s2, s0), of which the first is used; set data.folder.pages to all to use all"
        )
        or "(s0, s2)" in look(own).notes[-1]
    )
    assert sorted(shown(own)) == ["s0", "s1", "s2"]


def test_all_pages_stay_in_one_group_and_split(own):
    fill(own, [stack(pages(n)) for n in (3, 1, 2)], [stack(masks(n)) for n in (3, 1, 2)])
    found = look(own, settings(pages="all"))
    assert "6 pages of 3 files" in found.notes
    assert {(s.name, s.group, s.split) for s in found.samples} == {
        *((f"s0#{page}", "s0", "train") for page in (1, 2, 3)),
        ("s1", "", "valid"),
        *((f"s2#{page}", "s2", "test") for page in (1, 2)),
    }
    images = shown(own, settings(pages="all"))
    assert all(np.array_equal(images[f"s0#{number}"][..., 0], page) for number, page in enumerate(pages(3), 1))


def test_the_group_of_a_patient_is_kept_for_pages(own):
    fill(own, [stack(pages(n)) for n in (2, 1, 1)], [stack(masks(n)) for n in (2, 1, 1)])
    for sample in own.samples:
        sample["group"] = "p7"
    own.samples.pop()
    own.list("s2", "test", "images/s2", ["masks/s2"], "p8")
    assert {s.group for s in look(own, settings(pages="all")).samples} == {"p7", "p8"}


def test_a_page_that_the_mask_lacks_is_named(own):
    fill(own, [stack(pages(n)) for n in (3, 1, 1)], [stack(masks(n)) for n in (2, 1, 1)])
    with pytest.raises(InputError, match=r"1 of 5 samples cannot be used: s0#3 \(mask: no page 3\)"):
        shown(own, settings(pages="all"))


def test_the_values_of_every_page_are_looked_at(own):
    """The second page is in another convention."""
    odd = [*masks(1), *masks(1, (0, 1))]
    fill(own, [stack(pages(n)) for n in (2, 1, 1)], [stack(odd), *(stack(masks(1)) for _ in range(2))])
    look(own)
    with pytest.raises(InputError, match=r"1 hold 0 and 1 \(s0#2\)"):
        look(own, settings(pages="all"))


def test_the_brightness_of_every_page_is_looked_at(own):
    dark, bright = ramps(np.uint16, 0, 900)[0], ramps(np.uint16, 3000, 4000)[2]
    fill(own, [stack([dark, bright]), stack([dark]), stack([dark])], [stack(masks(n)) for n in (2, 1, 1)])
    assert look(own, settings(pages="all")).reading.scale[1] > 3900


@pytest.mark.parametrize("content", [b"", b"no image", encoded(grey(TRUTHS[0]))[:60]])
def test_a_file_that_cannot_be_read_is_left_to_packing(own, content):
    fill(own, [encoded(page) for page in pages(4)])
    (own.folder / "masks" / "s1").write_bytes(content)
    assert "masks hold 0 and 255" in look(own).notes
    with pytest.raises(InputError, match=r"1 of 4 samples cannot be used: s1 \(mask: "):
        shown(own)


def test_masks_of_which_none_can_be_read_are_refused_with_a_reason(own):
    fill(own, [encoded(page) for page in pages(3)], [b"no image"] * 3)
    with pytest.raises(InputError, match=r"none of the masks of 3 images can be read: s\d \(not one of JPEG, PNG"):
        look(own)


def test_memory_that_runs_out_while_looking_is_left_to_packing(own, monkeypatch):
    fill(own, [encoded(page) for page in pages(3)])

    def fail(*args):
        raise MemoryError

    monkeypatch.setattr("segkit.dataset.survey.examine", fail)
    with pytest.raises(InputError, match=r"none of the masks of 3 images can be read: s\d \(memory ran out\)"):
        look(own)


def test_the_summary_says_what_was_decided(own):
    fill(own, [encoded(values, "TIFF") for values in ramps(np.float32, 0, 1)])
    preprocess(own.folder, own.folder.parent / "out", options((32, 32)), 1, settings(range=(0, 1)))
    summary = look(own, settings(range=(0, 1))).summary()
    assert summary["masks"] == {
        "unit": "grey",
        "words": "masks hold 0 and 255",
        "foreground": [255],
        "ignored": [],
        "cut": None,
        "dark": False,
    }
    assert summary["range"] == [0, 1] and "masks hold 0 and 255" in summary["notes"]


def test_the_masks_of_one_image_are_looked_at_one_by_one(own):
    fill(own, [encoded(page) for page in pages(3)])
    for folder in ("one", "two"):
        (own.folder / "masks" / folder).mkdir()
    (own.folder / "masks" / "one" / "a").write_bytes(encoded(masks(1)[0]))
    (own.folder / "masks" / "two" / "a").write_bytes(encoded(masks(1, (0, 9))[0]))
    own.samples[0]["masks"] = ["masks/one/a", "masks/two/a"]
    own.list("s3", "test", "images/s0", ["masks/s0"])
    with pytest.raises(InputError, match=r"4 hold 0 and 255 .*1 hold 0 and 9 \(s0: a\)"):
        look(own)
