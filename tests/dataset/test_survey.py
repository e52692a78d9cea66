"""A first look at a user's own files: brightness by one range for all, pages, and what is said about them."""

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import open_split, read_samples
from segkit.dataset.pictures import read_pair
from tests.dataset.own import SPLITS, OwnSet, disc

TRUTHS = [disc(number) for number in range(5)]


def wide(low: float, high: float, dtype=np.uint16) -> list[Image.Image]:
    """Images of more than 8 bits, from ``low`` to ``high``, each brighter than the one before."""
    ramp = np.linspace(0, 1, 24 * 30).reshape(24, 30)
    return [Image.fromarray((low + (high - low) * ramp * (5 + i) / 9).astype(dtype)) for i in range(5)]


def seen(own: OwnSet, **folder) -> list[np.ndarray]:
    found = own.survey(**folder)
    return [np.asarray(read_pair(sample, found.reading)[0])[..., 0].astype(int) for sample in found.samples]


def test_8_bit_images_stay_as_they_are(tmp_path):
    dark = [Image.fromarray((np.asarray(Image.effect_noise((30, 24), 50)) // 8).astype(np.uint8)) for _ in range(5)]
    own = OwnSet(tmp_path, TRUTHS, dark)
    assert own.survey().reading.scale is None and own.survey().summary()["range"] is None
    assert np.array_equal(seen(own)[0], dark[0])


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 4095, np.uint16), (0, 200, np.uint16), (-1000, 1500, np.float32), (0, 1, np.float32), (0, 10**6, np.int32)],
    ids=["12 bits", "8 bits in 16", "CT", "fractions", "32 bits"],
)
def test_one_range_from_all_images_keeps_their_brightness_apart(tmp_path, low, high, dtype):
    """No image is stretched by its own maximum: what is twice as bright stays so."""
    images = wide(low, high, dtype)
    own = OwnSet(tmp_path, TRUTHS, images)
    found = own.survey()
    values = np.stack([np.asarray(image, float) for image in images])
    assert found.reading.scale == pytest.approx(np.percentile(values, (0.1, 99.9)), abs=0.005 * (high - low))
    low, high = found.reading.scale
    expected = ((values - low) / (high - low)).clip(0, 1) * 255
    order = [int(sample.name[1:]) for sample in found.samples]
    assert np.abs(np.stack(seen(own)) - expected[order]).max() <= 0.51
    assert any("5 images of more than 8 bits" in note and "scaled to 0…255" in note for note in found.notes)
    assert found.summary()["range"] == list(found.reading.scale)


def test_a_few_hot_pixels_do_not_darken_the_set(tmp_path):
    images = wide(0, 4095)
    for number in range(5):
        values = np.asarray(images[number]).copy()
        values[0, 0] = 65535 if number == 2 else values[0, 0]
        images[number] = Image.fromarray(values)
    assert OwnSet(tmp_path, TRUTHS, images).survey().reading.scale[1] < 4200


def test_a_stated_range_wins(tmp_path):
    own = OwnSet(tmp_path, TRUTHS, wide(-1000, 1500, np.float32))
    found = own.survey(range=(-100.0, 300.0))
    assert found.reading.scale == (-100, 300)
    assert "-100…300 scaled to 0…255" in " ".join(found.notes)
    assert seen(own, range=(-100.0, 300.0))[0].min() == 0 and seen(own, range=(-100.0, 300.0))[0].max() == 255


def test_images_that_are_constant_over_the_set_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.folder\.range: 5 images of more than 8 bits hold 7 almost everywhere"):
        OwnSet(tmp_path, TRUTHS, [Image.fromarray(np.full((24, 30), 7, np.uint16))] * 5).survey()


def test_a_fourth_band_of_tiffs_is_said_and_not_read(tmp_path):
    own = OwnSet(tmp_path)
    bands = np.random.default_rng(0).integers(0, 256, (24, 30, 4), dtype=np.uint8)
    for number, truth in enumerate(TRUTHS):
        own.add(f"s{number}", SPLITS[number], Image.fromarray(bands), Image.fromarray(truth), format="TIFF")
    found = own.survey()
    assert "the fourth band of 5 TIFF images is not read" in found.notes
    assert np.array_equal(read_pair(found.samples[0], found.reading)[0], bands[..., :3])


def stacks(folder, pages: int = 3, mask_pages: int = 3) -> OwnSet:
    """Samples whose images and masks are TIFFs of several pages, except for the first."""
    own = OwnSet(folder)
    for number, split in enumerate(SPLITS):
        several = [disc(10 * number + page) for page in range(pages)]
        images = [Image.fromarray((truth * 200 + 20 + page).astype(np.uint8)) for page, truth in enumerate(several)]
        masks = [Image.fromarray(truth.astype(np.uint8)) for truth in several]
        own.add(f"s{number}", split, images[0], masks[0], format="TIFF")
        if number:
            for kind, all_pages, count in (("images", images, pages), ("masks0", masks, mask_pages)):
                path = folder / kind / f"s{number}"
                all_pages[0].save(path, "TIFF", save_all=True, append_images=all_pages[1:count])
    return own


def test_of_files_with_several_pages_the_first_is_used_and_that_is_said(tmp_path):
    found = stacks(tmp_path).survey()
    assert [sample.name for sample in found.samples] == [f"s{number}" for number in range(5)]
    said = "4 samples have several pages (s1, s2, s3, ...), of which the first is used; set data.folder.pages to all"
    assert any(note.startswith(said) for note in found.notes)


def test_all_pages_become_samples_of_one_group_and_one_split(tmp_path):
    own = stacks(tmp_path / "raw")
    own.pack(tmp_path / "out", (24, 30), folder={"pages": "all"})
    table = [row for split in ("train", "valid", "test") for row in read_samples(tmp_path / "out", split)]
    names = ["s0", *(f"s{number}#{page}" for number in range(1, 5) for page in (1, 2, 3))]
    assert [row["name"] for row in table] == names
    assert [row["group"] for row in table] == ["", *(f"s{number}" for number in range(1, 5) for _ in range(3))]
    masks = open_split(tmp_path / "out", "test").masks
    assert all(np.array_equal(masks[page], disc(40 + page)) for page in range(3))


def test_a_page_that_the_mask_lacks_is_named(tmp_path):
    own = stacks(tmp_path / "raw", mask_pages=2)
    with pytest.raises(InputError, match=r"4 of 13 samples cannot be used: s1#3 \(mask: no page 3\), s2#3 \("):
        own.pack(tmp_path / "out", folder={"pages": "all"})


def two_pages(folder, images: list[np.ndarray], masks: list[np.ndarray]) -> OwnSet:
    """Samples of one page, and one of two."""
    own = OwnSet(folder, TRUTHS)
    for kind, (first, second) in (("images", images), ("masks0", masks)):
        pages = {"save_all": True, "append_images": [Image.fromarray(second)]}
        Image.fromarray(first).save(folder / kind / "s2", "TIFF", **pages)
    return own


def test_the_values_of_every_page_are_looked_at(tmp_path):
    grey = disc(1) * np.uint8(200)
    own = two_pages(tmp_path, [grey, grey], [disc(2) * np.uint8(255), disc(2) * np.uint8(1)])
    own.survey()
    with pytest.raises(InputError, match=r"0 and 255 \(.*\), 1 holds 0 and 1 \(s2#2\)"):
        own.survey(pages="all")


def test_the_brightness_of_every_page_is_looked_at(tmp_path):
    dark = np.arange(24 * 30, dtype=np.uint16).reshape(24, 30)
    own = two_pages(tmp_path, [dark, dark + np.uint16(3000)], [disc(2) * np.uint8(255)] * 2)
    assert own.survey().reading.scale[1] < 720
    assert own.survey(pages="all").reading.scale[1] > 3700


def test_pages_stay_in_the_group_of_their_patient(tmp_path):
    own = stacks(tmp_path)
    for entry in own.entries:
        entry["group"] = f"p{entry['split']}"
    own.add("s9", "test", Image.fromarray(disc(1) * np.uint8(200)), Image.fromarray(disc(1) * np.uint8(1)), group="p9")
    assert {(s.group, s.split) for s in own.survey(pages="all").samples} == {
        ("ptrain", "train"),
        ("pvalid", "valid"),
        ("ptest", "test"),
        ("p9", "test"),
    }


def test_memory_that_runs_out_while_looking_is_left_to_packing(tmp_path, monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr("segkit.dataset.survey.examine", fail)
    with pytest.raises(InputError, match=r"none of the masks of 5 images can be read: s0 \(memory ran out\)"):
        OwnSet(tmp_path, TRUTHS).survey()


def test_masks_of_which_none_can_be_read_are_refused(tmp_path):
    own = OwnSet(tmp_path, TRUTHS)
    for path in (tmp_path / "masks0").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the masks of 5 images can be read: s0 \(the file is empty\)"):
        own.survey()


def test_a_file_that_cannot_be_read_is_left_to_packing(tmp_path):
    own = OwnSet(tmp_path / "raw", TRUTHS)
    (tmp_path / "raw/masks0/s1").write_bytes(b"")
    assert own.survey().notes == ["masks hold 0 and 255"]
    with pytest.raises(InputError, match=r"1 of 5 samples cannot be used: s1 \(mask: the file is empty\)"):
        own.pack(tmp_path / "out")


def test_a_palette_s_colours_and_the_reading_are_in_the_summary(tmp_path):
    summary = OwnSet(tmp_path / "raw", TRUTHS).pack(tmp_path / "out")
    assert summary["masks"]["unit"] == "grey" and summary["masks"]["foreground"] == [255]
    assert summary["notes"] == ["masks hold 0 and 255"] and summary["range"] is None
