"""The K-fold benchmark: every image is held out once, and never trained on in that fold."""

import numpy as np
import pytest

from benchmarks.folds import FOLDS, damaged_split, fold
from benchmarks.robustness import blurred, noisy
from segkit.base.packed import Split
from segkit.dataset.preprocess import preprocess
from tests.tiny import RawSet, options


def test_each_image_of_training_and_validation_is_held_out_in_one_fold(tmp_path):
    preprocess(RawSet(tmp_path / "raw", trainval=12, test=2).folder, tmp_path / "processed", options((24, 32)))
    sides = [[{image.tobytes() for image in split.images} for split in fold(tmp_path / "processed", number)]
             for number in range(FOLDS)]  # fmt: skip
    assert all(training.isdisjoint(held_out) and len(training | held_out) == 12 for training, held_out in sides)
    assert sum(len(held_out) for _, held_out in sides) == 12
    training, held_out = fold(tmp_path / "processed", 0)
    assert len(training.masks) == len(training) and np.ptp(held_out.masks) > 0


@pytest.mark.parametrize(("damage", "texture"), [(blurred, np.less), (noisy, np.greater)])
def test_all_recipes_are_scored_on_the_same_damaged_images(damage, texture):
    images = np.random.default_rng(0).integers(100, 140, (3, 40, 60, 3), np.uint8)
    split = Split(images, np.zeros((3, 40, 60), np.uint8))
    once, again = damaged_split(split, damage), damaged_split(split, damage)
    assert np.array_equal(once.images, again.images) and once.masks is split.masks
    assert texture(once.images.std((1, 2, 3)), images.std((1, 2, 3))).all()
