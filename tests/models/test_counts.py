"""When a network is no better than no network."""

import numpy as np
import pytest

from segkit.models.counts import no_better_than

# TP, FP, FN, TN: one image without foreground, one of a quarter, as a network sees them that finds everything
COUNTS = np.array([[0, 0, 0, 100], [25, 0, 0, 75]])


@pytest.mark.parametrize(
    ("dice", "counts", "said"),
    [
        (1.0, COUNTS, ""),
        (0.5001, COUNTS, ""),
        (0.50004, COUNTS, "no better than predicting nothing (Dice 0.5000)"),  # what is printed counts
        (0.3, COUNTS, "no better than predicting nothing (Dice 0.5000)"),
        (0.3, COUNTS[1:], "no better than predicting everything (Dice 0.4000)"),
        (0.41, COUNTS[1:], ""),
        (1.0, COUNTS[:1], "no better than predicting nothing (Dice 1.0000)"),
        (1.0, 0 * COUNTS, "no better than predicting nothing (Dice 1.0000)"),  # every pixel is ignored
    ],
)
def test_the_better_baseline_is_named_unless_the_network_beats_it(dice, counts, said):
    assert no_better_than(dice, counts) == said


def test_what_was_predicted_does_not_change_the_baselines():
    assert no_better_than(0.3, COUNTS[:, [2, 3, 0, 1]]) == no_better_than(0.3, COUNTS)
