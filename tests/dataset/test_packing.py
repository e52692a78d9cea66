"""One sample as rows: what is measured, what is left out, and what samples.csv says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import open_split, read_samples
from segkit.dataset.catalog import Sample
from segkit.dataset.meaning import Meaning
from segkit.dataset.packing import Packed, pack_sample
from segkit.dataset.pictures import Reading
from segkit.dataset.preprocess import preprocess
from tests.dataset.masks import grey, settings, truth
from tests.tiny import OwnSet, few, options

READING = Reading(Meaning("grey", "", (1,), (255,)))
SPLITS = ("train", "train", "valid", "test", "test")


def picture(mask: np.ndarray, number: int = 0) -> Image.Image:
    numbers = np.random.default_rng(number)
    return Image.fromarray((numbers.integers(0, 90, (*mask.shape, 3)) + 120 * (mask == 1)[..., None]).astype(np.uint8))


def packed(folder, mask: np.ndarray, split: str = "train", image: Image.Image | None = None, **changes) -> Packed:
    """The mask of 0, 1 and 255 with an image, as rows."""
    (image or picture(mask)).save(folder / "x", "PNG")
    Image.fromarray(mask.astype(np.uint8)).save(folder / "m", "PNG")
    sample = Sample("x", split, "", folder / "x", (folder / "m",), trimap=False)
    return pack_sample(sample, READING, options((16, 16), **changes))


def own_set(folder, masks: list[np.ndarray]) -> OwnSet:
    own = OwnSet(folder)
    for number, mask in enumerate(masks):
        split = SPLITS[number % len(SPLITS)]
        own.add(f"s{number}", split, picture(mask, number), grey(mask), group=f"p{number // 2}")
    return own


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_samples_csv_tells_where_each_row_is_in_its_image(tmp_path, resize):
    masks = [truth(number, 20 + 7 * number, 50 - 6 * number) for number in range(5)]
    own_set(tmp_path / "raw", masks)
    summary = preprocess(tmp_path / "raw", tmp_path / "out", options((24, 16), resize=resize), 1, settings())
    counts = dict.fromkeys(range(5), 0)
    for split in ("train", "valid", "test"):
        data, table = open_split(tmp_path / "out", split), read_samples(tmp_path / "out", split)
        assert len(data) == len(table) == summary["splits"][split]["windows"]
        assert [row["row"] for row in table] == list(range(len(table)))
        found = {}
        for row in table:
            number = int(row["name"][1:])
            counts[number] += 1
            assert (row["height"], row["width"]) == masks[number].shape and row["group"] == f"p{number // 2}"
            content = data.masks[row["row"]][: row["content_height"], : row["content_width"]]
            outside = data.masks[row["row"]].copy()
            outside[: row["content_height"], : row["content_width"]] = 255
            assert (outside == 255).all()
            box = row["bottom"] - row["top"], row["right"] - row["left"]
            scaled = Image.fromarray(content).resize(box[::-1], Image.Resampling.NEAREST)
            whole = found.setdefault(number, np.full(masks[number].shape, 9, np.uint8))
            whole[row["top"] : row["bottom"], row["left"] : row["right"]] = scaled
        for number, whole in found.items():
            assert set(np.unique(whole)) <= {0, 1}
            least = 1 if resize == "tile" else 0.75
            assert 2 * (whole & masks[number]).sum() >= least * (whole.sum() + masks[number].sum())
        assert summary["splits"][split]["images"] == len(found)
    assert min(counts.values()) >= 1 and (max(counts.values()) > 1) == (resize == "tile")


def test_rows_of_padding_count_in_no_statistic(tmp_path):
    own_set(tmp_path / "raw", [truth(number, 30, 60) for number in range(5)])
    summary = preprocess(tmp_path / "raw", tmp_path / "out", options((32, 32), resize="fit"), 1, settings())
    train = open_split(tmp_path / "out", "train")
    shown = train.masks[:] != 255
    assert shown.mean() == 0.5
    values = train.images[:][shown] / 255
    assert summary["normalize"]["dataset"]["mean"] == pytest.approx(values.mean(0))
    assert summary["normalize"]["dataset"]["std"] == pytest.approx(values.std(0))
    assert summary["splits"]["train"]["foreground"] == pytest.approx((train.masks[:][shown] == 1).mean())


def bilinear(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``small`` enlarged to ``shape``: each pixel's centre is looked up between the four nearest."""
    for axis, side in enumerate(shape):
        old = small.shape[axis]
        place = np.clip((np.arange(side) + 0.5) * old / side - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        high, share = np.minimum(low + 1, old - 1), place - low
        share = share.reshape(-1, 1) if axis == 0 else share
        small = np.take(small, low, axis) * (1 - share) + np.take(small, high, axis) * share
    return small


@few
@given(
    st.integers(0, 1000), st.integers(17, 80), st.integers(17, 80), st.sampled_from(["stretch", "fit"]), st.booleans()
)
def test_the_best_possible_dice_is_that_of_the_packed_mask_scaled_back(
    tmp_path_factory, seed, height, width, resize, with_void
):
    numbers = np.random.default_rng(seed)
    mask = np.kron(numbers.random((height // 4 + 1, width // 4 + 1)) < 0.5, np.ones((4, 4)))[:height, :width]
    mask = mask.astype(np.uint8)
    mask[0, 0] = 1
    if with_void:
        mask[5:9] = 255
    result = packed(tmp_path_factory.getbasetemp(), mask, resize=resize, on_empty="keep")
    (box,) = result.windows
    row = np.frombuffer(result.masks, np.uint8).reshape(16, 16)[: box.content_height, : box.content_width]
    predicted = (bilinear((row == 1).astype(float), mask.shape) >= 0.5) & (mask != 255)
    true = mask == 1
    assert result.best == pytest.approx(2 * (predicted & true).sum() / (predicted.sum() + true.sum()), abs=0.02)


def test_what_is_not_resized_loses_nothing(tmp_path):
    assert packed(tmp_path, truth(0, 16, 16)).best == 1
    assert packed(tmp_path, truth(0, 64, 64), resize="tile").best is None


def dot(side: int = 64) -> np.ndarray:
    """One pixel of foreground that nearest-neighbour scaling to 16 px leaves out."""
    mask = np.zeros((side, side), bool)
    mask[1, 0] = True
    return mask


def test_an_object_that_vanishes_at_the_network_s_size_is_said_to(tmp_path):
    result = packed(tmp_path, dot())
    assert (result.fault, result.key, result.vanished) == ("its foreground vanishes at 16x16 px", "on_empty", True)
    kept = packed(tmp_path, dot(), on_empty="keep")
    assert (kept.fault, kept.vanished, kept.foreground, kept.best) == (None, True, 0, 0)
    tiles = packed(tmp_path, dot(), resize="tile")
    assert (tiles.fault, tiles.vanished, tiles.foreground) == (None, False, 1)


def test_vanishing_objects_fail_are_skipped_or_kept(tmp_path):
    own_set(tmp_path / "raw", [truth(number, 64, 64) for number in range(5)] + [dot()])
    with pytest.raises(InputError) as caught:
        preprocess(tmp_path / "raw", tmp_path / "out", options((16, 16)), 1, settings())
    assert str(caught.value) == (
        "1 of 6 masks lose all foreground at 16x16 px (s5); raise preprocess.size or set preprocess.resize to tile, or "
        "set preprocess.on_empty to skip or keep"
    )
    skipped = preprocess(tmp_path / "raw", tmp_path / "out", options((16, 16), on_empty="skip"), 1, settings())
    assert (skipped["skipped"], skipped["vanished"]) == ({"s5": "its foreground vanishes at 16x16 px"}, ["s5"])
    kept = preprocess(tmp_path / "raw", tmp_path / "out", options((16, 16), on_empty="keep"), 1, settings())
    assert (kept["skipped"], kept["vanished"], kept["splits"]["train"]["images"]) == ({}, ["s5"], 3)
    assert kept["best_dice"]["worst_name"] == "s5" and kept["best_dice"]["worst"] == 0
    for advice in ({"size": (64, 64)}, {"size": (16, 16), "resize": "tile"}):
        done = preprocess(tmp_path / "raw", tmp_path / "out", options(**advice), 1, settings())
        assert (done["skipped"], done["vanished"]) == ({}, [])


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_an_image_of_one_colour_is_refused_for_that(tmp_path, resize):
    for colour in ("black", "white", (3, 2, 1)):
        result = packed(tmp_path, truth(0), image=Image.new("RGB", (48, 40), colour), resize=resize)
        assert (result.fault, result.key) == ("image: all its pixels have the same colour", "on_bad")


def test_a_mask_that_is_ignored_everywhere_is_refused_for_that(tmp_path):
    result = packed(tmp_path, np.full((20, 20), 255), on_empty="keep", image=picture(truth(0, 20, 20)))
    assert (result.fault, result.key) == ("every pixel of the mask is ignored", "on_bad")


@few
@given(arrays.arrays(np.uint8, (20, 30), elements=st.sampled_from([0, 1, 255])), st.sampled_from(["stretch", "tile"]))
def test_shares_are_those_of_the_original_mask(tmp_path_factory, mask, resize):
    mask[3, 3], mask[0, 0] = 1, 0
    image = picture(truth(0, 20, 30))
    result = packed(tmp_path_factory.getbasetemp(), mask, "test", image, resize=resize, on_empty="keep")
    assert result.share == pytest.approx((mask == 1).sum() / (mask != 255).sum())
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert result.edge == pytest.approx((edge == 1).sum() / (edge != 255).sum())
    rows = np.frombuffer(result.masks, np.uint8)
    assert (result.foreground, result.counted) == ((rows == 1).sum(), (rows != 255).sum())
    assert (result.width, result.height) == (30, 20)
