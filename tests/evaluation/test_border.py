"""Both readings of the border, counted by scikit-learn a second time."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import confusion_matrix

from segkit.evaluation.border import BorderCounts
from tests.tiny import few

LABELS = arrays.arrays(np.uint8, (3, 5), elements=st.sampled_from([0, 1, 2, 255]))


def counted(prediction: np.ndarray, truth: np.ndarray) -> list[int]:
    """TP, FP, FN, TN where the truth is 0 or 1."""
    used = truth < 2
    return confusion_matrix(truth[used], prediction[used], labels=[1, 0]).T.ravel().tolist() if used.any() else [0] * 4


@few
@given(
    st.lists(st.tuples(arrays.arrays(bool, (3, 5)), LABELS), min_size=1, max_size=3),
    st.sampled_from([("foreground", 1), ("background", 0), ("ignore", 255)]),
)
def test_both_readings_are_those_of_another_library(images, border):
    name, value = border
    found = BorderCounts(name)
    for prediction, labels in images:
        found.add(torch.from_numpy(prediction), labels)
    assert found.counts.tolist() == [counted(p, np.where(labels == 2, value, labels)) for p, labels in images]
    assert found.no_border.tolist() == [counted(p, labels) for p, labels in images]
    assert found.has_border == any((labels == 2).any() for _, labels in images)
