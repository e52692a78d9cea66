"""Normalisation against NumPy, in units of 0 to 1."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segkit.dataset.findings import IMAGENET
from segkit.models.normalize import Normalizer
from tests.tiny import many

SUMMARY = {
    "normalize": {"image": None, "dataset": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 0.125]}, "imagenet": IMAGENET}
}
PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 5), st.integers(1, 5)))


def normalized(kind: str, pictures: np.ndarray) -> np.ndarray:
    return Normalizer.from_summary(kind, SUMMARY)(torch.from_numpy(pictures.astype(np.float32))).numpy()


@many
@given(PICTURES)
def test_image_takes_one_mean_and_one_deviation_over_all_of_a_picture(pictures):
    found = normalized("image", pictures)
    for picture, result in zip(pictures / 255, found, strict=True):
        expected = (picture - picture.mean()) / max(picture.std(), 1 / 255)
        assert result == pytest.approx(expected, abs=1e-3)


@many
@given(PICTURES, st.sampled_from(["dataset", "imagenet"]))
def test_the_others_take_the_given_numbers_of_each_channel(pictures, kind):
    numbers = SUMMARY["normalize"][kind]
    mean, std = (np.array(numbers[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    assert normalized(kind, pictures) == pytest.approx((pictures / 255 - mean) / std, abs=1e-5)


def test_imagenet_maps_white_where_torchvision_does():
    white = np.full((1, 3, 1, 1), 255, np.uint8)
    assert normalized("imagenet", white).ravel() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_colour_stays_finite(value):
    assert np.abs(normalized("image", np.full((2, 3, 4, 4), value, np.uint8))).max() < 1e-3


def test_a_constant_channel_of_the_data_set_stays_finite():
    summary = {"normalize": {"dataset": {"mean": [0.5] * 3, "std": [0.0, 0.1, 0.1]}}}
    found = Normalizer.from_summary("dataset", summary)(torch.full((1, 3, 2, 2), 255.0))
    assert torch.isfinite(found).all()


def test_a_picture_is_normalised_alike_in_any_batch():
    pictures = np.random.default_rng(0).integers(0, 255, (5, 3, 6, 6)).astype(np.uint8)
    alone = np.concatenate([normalized("image", pictures[i : i + 1]) for i in range(5)])
    assert normalized("image", pictures) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("kind", ["image", "dataset", "imagenet"])
def test_metadata_makes_the_same_normaliser(kind):
    normalizer = Normalizer.from_summary(kind, SUMMARY)
    assert Normalizer.from_metadata(normalizer.as_metadata()) == normalizer
