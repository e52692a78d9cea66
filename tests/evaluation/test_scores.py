"""Scores against scikit-learn, their properties, and the traps that other programs fell into."""

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segkit.base.packed import IGNORED
from segkit.evaluation.scores import iou_per_image, scores
from segkit.models.counts import count, dice_per_image
from tests.tiny import few, many, quiet_torch  # noqa: F401

LIKE_SKLEARN = {
    "dice_global": sklearn.metrics.f1_score,
    "iou_global": sklearn.metrics.jaccard_score,
    "precision": sklearn.metrics.precision_score,
    "recall": sklearn.metrics.recall_score,
}


@st.composite
def cases(draw, values=(0, 1, IGNORED), max_images=5):
    """Predictions ``bool (N, H, W)`` and masks ``uint8 (N, H, W)``, often empty, full or all ignored."""
    shape = (draw(st.integers(1, max_images)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    masks = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from(values), fill=st.just(values[0])))
    predictions = draw(arrays.arrays(bool, shape))
    return predictions, masks


def counted(predictions: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return count(torch.from_numpy(predictions), torch.from_numpy(masks)).numpy()


def sklearn_score(score, predictions: np.ndarray, masks: np.ndarray) -> float:
    """Over all pixels that are not ignored; 1 where there is nothing to divide by."""
    used = masks != IGNORED
    return score(masks[used], predictions[used].astype(np.uint8), zero_division=1.0) if used.any() else 1.0


@few
@given(cases())
def test_global_scores_equal_scikit_learn_s(case):
    found = scores(counted(*case))
    for name, score in LIKE_SKLEARN.items():
        assert found[name] == pytest.approx(sklearn_score(score, *case)), name


@few
@given(cases(max_images=3))
def test_dice_and_iou_are_the_means_of_scikit_learn_s_scores_of_each_image(case):
    found = scores(counted(*case))
    for name, score in (("dice", sklearn.metrics.f1_score), ("iou", sklearn.metrics.jaccard_score)):
        each = [sklearn_score(score, *image) for image in zip(*case, strict=True)]
        assert found[name] == pytest.approx(np.mean(each)), name


@many
@given(cases())
def test_pixel_accuracy_equals_scikit_learn_s(case):
    predictions, masks = case
    used = masks != IGNORED
    expected = sklearn.metrics.accuracy_score(masks[used], predictions[used]) if used.any() else 1.0
    assert scores(counted(*case))["pixel_accuracy"] == pytest.approx(expected)


@many
@given(cases())
def test_the_baselines_are_the_dice_of_predicting_nothing_and_everything(case):
    found = scores(counted(*case))
    for name, value in (("nothing", False), ("everything", True)):
        each = [sklearn_score(sklearn.metrics.f1_score, np.full(mask.shape, value), mask) for mask in case[1]]
        assert found[f"dice_of_{name}"] == pytest.approx(np.mean(each)), name


@many
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(case, random):
    counts = counted(*case)
    rows = list(range(len(counts)))
    random.shuffle(rows)
    assert scores(counts[rows]) == pytest.approx(scores(counts))  # one batch of 15: pixel_accuracy_batch too


@many
@given(cases(), st.integers(1, 5))
def test_counting_in_batches_gives_the_same_counts(case, size):
    predictions, masks = case
    starts = range(0, len(masks), size)
    parts = [counted(predictions[start : start + size], masks[start : start + size]) for start in starts]
    assert np.array_equal(np.concatenate(parts), counted(*case))


@many
@given(cases(), st.sampled_from([1, 2, (1, 2)]))
def test_flips_change_nothing(case, axis):
    flipped = (np.flip(values, axis).copy() for values in case)
    assert np.array_equal(counted(*flipped), counted(*case))


@many
@given(cases())
def test_global_dice_and_iou_say_the_same(case):
    found = scores(counted(*case))
    assert found["dice_global"] == pytest.approx(2 * found["iou_global"] / (1 + found["iou_global"]))


@many
@given(cases())
def test_every_pixel_that_is_not_ignored_is_counted_once_and_every_score_is_a_share(case):
    counts = counted(*case)
    assert np.array_equal(counts.sum(1), (case[1] != IGNORED).sum((1, 2)))
    found = scores(counts)
    assert found.pop("images") == len(counts)
    assert all(0 <= value <= 1 and type(value) is float for value in found.values())


@many
@given(cases(values=(0, 1)))
def test_swapping_prediction_and_truth_swaps_precision_and_recall(case):
    predictions, masks = case
    there = scores(counted(predictions, masks))
    back = scores(counted(masks.astype(bool), predictions.astype(np.uint8)))
    assert (there["precision"], there["recall"], there["dice"]) == (back["recall"], back["precision"], back["dice"])


@many
@given(cases())
def test_tensors_and_arrays_give_the_same_scores_of_each_image(case):
    counts = counted(*case)
    for score in (dice_per_image, iou_per_image):
        assert score(torch.from_numpy(counts)).numpy() == pytest.approx(score(counts))


def test_a_count_by_hand():
    masks = np.array([[[1, 1, 1, 0, 0, IGNORED]]], np.uint8)
    predictions = np.array([[[1, 1, 0, 1, 0, 1]]], bool)
    assert counted(predictions, masks).tolist() == [[2, 1, 1, 1]]
    assert dice_per_image(counted(predictions, masks)) == pytest.approx(4 / 6)
    assert iou_per_image(counted(predictions, masks)) == pytest.approx(2 / 4)


def test_a_false_alarm_costs():
    masks = np.zeros((1, 4, 4), np.uint8)
    masks[0, 0] = 1
    everything = np.ones((1, 4, 4), bool)
    found = scores(counted(everything, masks))
    assert (found["dice"], found["iou"], found["precision"]) == (0.4, 0.25, 0.25)


def test_nothing_there_and_nothing_claimed_is_right():
    found = scores(counted(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), np.uint8)))
    assert found.pop("dice_of_everything") == 0
    assert set(found.values()) == {1.0}


@pytest.mark.parametrize("claimed", [True, False])
def test_foreground_in_one_of_them_only_is_wrong(claimed):
    masks = np.full((1, 2, 2), 0 if claimed else 1, np.uint8)
    found = scores(counted(np.full((1, 2, 2), claimed), masks))
    assert (found["dice"], found["iou"], found["dice_global"], found["pixel_accuracy"]) == (0, 0, 0, 0)


def test_a_mean_over_images_is_not_the_score_of_the_sum():
    counts = np.array([[1, 0, 0, 99], [50, 50, 0, 0]])
    found = scores(counts)
    assert found["dice"] == pytest.approx((1 + 100 / 150) / 2)
    assert found["dice_global"] == pytest.approx(102 / 152)


def test_pixel_accuracy_by_batch_counts_the_short_last_batch_as_a_whole_one():
    # 31 images of 10 pixels: batches of 15, 15 and 1 with 100 %, 50 % and 0 % agreement
    counts = np.array([[5, 0, 0, 5]] * 15 + [[5, 5, 0, 0]] * 15 + [[0, 5, 5, 0]])
    found = scores(counts)
    assert found["pixel_accuracy_batch"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["pixel_accuracy"] == pytest.approx(225 / 310)
    assert found["images"] == 31


def test_pixel_accuracy_by_batch_depends_on_the_order():
    counts = np.array([[10, 0, 0, 0]] * 15 + [[0, 10, 0, 0]])
    assert scores(counts)["pixel_accuracy_batch"] == 0.5
    assert scores(counts[::-1])["pixel_accuracy_batch"] == pytest.approx((14 / 15 + 1) / 2)


def test_large_sums_stay_exact():
    counts = np.array([[2**40, 1, 0, 2**40]] * 3)
    assert scores(counts)["precision"] == 2**40 / (2**40 + 1)


def test_no_images_have_no_score():
    with pytest.raises(ValueError, match="no images"):
        scores(np.zeros((0, 4), np.int64))
