"""The K-fold benchmark: every image is held out once, and never trained on in that fold."""

import numpy as np

from benchmarks.folds import FOLDS, fold
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
