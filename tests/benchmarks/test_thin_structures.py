"""Drawn pictures of a retina: repeatable, with thin vessels of the stated share; and the threshold's fit."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.common import params_with
from benchmarks.fundus import SIDE, draw
from benchmarks.thin_structures import LIMITS, SPLIT, darker, dice_of_limits, threshold
from segkit.base.errors import InputError
from segkit.base.params import FolderSplit
from segkit.sources.splitting import assign


def drawn(number: int) -> tuple[Image.Image, Image.Image]:
    return draw(np.random.Generator(np.random.Philox(key=0, counter=(0, 0, 0, number))))


@pytest.fixture(scope="module")
def eyes() -> list[tuple[Image.Image, Image.Image]]:
    return [drawn(0), drawn(1)]


def test_a_picture_depends_on_its_number_alone(eyes):
    (first, first_mask), (second, second_mask) = eyes
    again, same = drawn(1)
    assert second.tobytes() == again.tobytes() and second_mask.tobytes() == same.tobytes()
    assert first.tobytes() != second.tobytes() and first_mask.tobytes() != second_mask.tobytes()


def test_vessels_are_thin_dark_and_of_the_stated_share(eyes):
    for image, mask in eyes:
        assert image.size == mask.size == (SIDE, SIDE) and (image.mode, mask.mode) == ("RGB", "L")
        truth = np.asarray(mask) > 0
        assert set(np.unique(mask)) == {0, 255} and 0.06 < truth.mean() < 0.08
        padded = np.pad(truth, 1)
        inner = truth & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        assert inner.sum() < 0.5 * truth.sum()  # most pixels are at an edge
        depth = darker(np.asarray(image)[..., 1], 6)
        assert depth[truth].mean() > 5 and depth[~truth].mean() < 0


def test_the_dice_of_every_limit_is_that_of_the_mask_it_gives(eyes):
    green, truth = np.asarray(eyes[0][0])[..., 1], np.asarray(eyes[0][1]) > 0
    found = dice_of_limits(green, truth, sigma=6)
    for limit in (LIMITS[0], 7, LIMITS[-1]):
        mask = darker(green, 6) >= limit
        expected = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert found[LIMITS.index(limit)] == pytest.approx(expected)


def test_a_threshold_finds_most_vessels_and_takes_other_spots_for_them(eyes):
    dice, sigma, limit = threshold(*[[(np.asarray(image)[..., 1], np.asarray(mask) > 0)] for image, mask in eyes])
    assert 0.55 < dice < 0.75 and 3 <= sigma <= 12 and 3 <= limit <= 15


def test_28_pictures_are_split_as_documented(tmp_path):
    names = {f"eye_{number:03d}": "" for number in range(28)}
    found = list(assign(names, FolderSplit(**SPLIT), tmp_path, {}, ()).values())
    assert [found.count(split) for split in ("train", "valid", "test")] == [14, 4, 10]


def test_settings_of_the_command_line_are_those_of_params_yaml():
    params = params_with({"preprocess.size": 96}, ["train.lr=1e-3", "preprocess.resize=tile", "unet.train.epochs=7"])
    assert params.preprocess.size == (96, 96) and params.preprocess.resize == "tile"
    assert params.train.lr == 0.001 == params.resnet34_unet.train.lr and params.unet.train.epochs == 7


@pytest.mark.parametrize("text", ["train.lr", "train.speed=1", "trane.lr=1", "train.lr.x=1", "train.epochs=many"])
def test_a_setting_that_does_not_exist_is_refused(text):
    with pytest.raises(InputError, match=text.partition("=")[0].split(".")[0]):
        params_with({}, [text])
