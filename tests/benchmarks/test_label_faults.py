"""Planted faults are what they say."""

import numpy as np
import pytest

from benchmarks.label_faults import FAULTS, GROWN, SHRUNK, plant


@pytest.fixture
def masks() -> np.ndarray:
    """Discs of different sizes and places."""
    y, x = np.mgrid[:64, :64]
    return np.stack([np.hypot(y - 24 - n, x - 40 + n) < 8 + n for n in range(12)]).astype(np.uint8)


def test_faults_take_turns_and_the_other_masks_stay(masks):
    planted, faults = plant(masks, 0.5, np.random.default_rng(0))
    assert sorted(faults.values()) == sorted(FAULTS)
    changed = {row for row in range(len(masks)) if not np.array_equal(planted[row], masks[row])}
    assert changed == set(faults) and planted.dtype == np.uint8 and set(np.unique(planted)) == {0, 1}
    again, same = plant(masks, 0.5, np.random.default_rng(0))
    assert np.array_equal(planted, again) and faults == same


@pytest.mark.parametrize("seed", range(4))
def test_each_fault_is_of_its_kind(masks, seed):
    area, at = masks[5].sum(), np.argwhere(masks[5]).mean(0)
    made = {kind: function(masks, 5, np.random.default_rng(seed)) for kind, function in FAULTS.items()}
    assert any(np.array_equal(made["other"], mask) for row, mask in enumerate(masks) if row != 5)
    assert 0.14 * 64 < np.hypot(*(np.argwhere(made["shifted"]).mean(0) - at)) < 0.27 * 64
    assert made["grown_or_shrunk"].sum() >= GROWN * area or made["grown_or_shrunk"].sum() <= SHRUNK * area
    assert 0.4 * area < made["half_missing"].sum() < 0.6 * area and not (made["half_missing"] & ~masks[5]).any()
    assert not made["dropped"].any() and np.array_equal(made["inverted"], 1 - masks[5])
