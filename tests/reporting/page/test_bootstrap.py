"""The interval of a mean, against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from segkit.reporting.page.bootstrap import interval


@pytest.mark.parametrize("count", [2, 30, 3669])
def test_the_interval_is_that_of_scipy(count):
    values = np.random.default_rng(count).beta(8, 2, count)
    found = interval(values)
    numbers = np.random.default_rng(0)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=numbers)
    low, high = expected.confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert found.count == count
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * expected.standard_error + 1e-12)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(1).random(50)
    assert interval(values) == interval(values)


def test_differences_of_two_networks_are_resampled_together():
    values = np.random.default_rng(2).random(200)
    found = interval((values + 0.01) - values)
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert found.excludes_zero


def test_seeds_are_resampled_too():
    """Between three trainings 0.02 apart the interval reaches from the worst to the best, however many images."""
    images = np.random.default_rng(3).normal(0, 1e-6, 1000)
    found = interval(np.stack([0.88 + images, 0.90 + images, 0.92 + images]))
    assert (found.mean, found.low, found.high) == pytest.approx((0.9, 0.88, 0.92), abs=1e-4)


def test_of_one_value_no_spread_is_known():
    found = interval(np.array([0.7]))
    assert found.mean == 0.7 and np.isnan(found.low) and not found.excludes_zero
    assert interval(np.array([])).count == 0
