"""The plan and its draws: functions of (seed, epoch, row) and of nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.data.plan import (
    MAX_LIGHT,
    MAX_ROTATION,
    MAX_SHIFT,
    TRANSFORMS,
    Plan,
    draw,
    make_plan,
    order,
    read_plan,
    write_plan,
)
from segkit.errors import InputError
from segkit.params import Augment
from tests.tiny import few

seeds, epochs = st.integers(0, 2**63 - 1), st.integers(0, 10_000)


def combine(samples: int, n_aug: int = 1) -> Plan:
    return make_plan(samples, Augment("combine", n_aug))


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


@few
@given(st.integers(1, 20), st.sampled_from([("combine", 0), ("combine", 3), ("flip", 0), ("flip", 1), ("flip", 2)]))
def test_originals_come_first_then_copies_of_all(samples, kind):
    plan = make_plan(samples, Augment(*kind))
    transforms = plan.transforms.reshape(1 + kind[1], samples)
    copies = {"combine": ["combine"] * 3, "flip": ["flip_horizontal", "flip_vertical"]}[kind[0]]
    for copy, name in zip(transforms, ["none", *copies[: kind[1]]], strict=True):
        assert {TRANSFORMS[transform] for transform in copy} == {name}
    assert np.array_equal(plan.source_rows, np.tile(np.arange(samples), 1 + kind[1]))


def test_a_third_flip_is_refused():
    with pytest.raises(InputError, match="flip makes at most 2 copies, not 3"):
        make_plan(2, Augment("flip", 3))


@few
@given(seeds, epochs)
def test_the_same_seed_and_epoch_draw_the_same(seed, epoch):
    plan = combine(9)
    assert same(draw(plan, seed, epoch), draw(plan, seed, epoch))
    assert np.array_equal(order(plan, seed, epoch), order(plan, seed, epoch))


@few
@given(seeds, epochs, st.integers(1, 30), st.integers(1, 30))
def test_a_row_s_draw_does_not_depend_on_how_many_rows_there_are(seed, epoch, few_rows, more_rows):
    short, long = (Plan(np.zeros(rows, int), np.ones(rows, int)) for rows in (few_rows, few_rows + more_rows))
    assert same(draw(short, seed, epoch), draw(long, seed, epoch)[np.arange(few_rows)])


@few
@given(seeds, epochs)
def test_epochs_and_seeds_differ(seed, epoch):
    plan = combine(30)
    for other in ((seed, epoch + 1), ((seed + 1) % 2**63, epoch)):
        assert not np.array_equal(draw(plan, *other).angle, draw(plan, seed, epoch).angle)
        assert not np.array_equal(order(plan, *other), order(plan, seed, epoch))


@few
@given(seeds, epochs, st.integers(1, 40))
def test_the_order_is_a_permutation(seed, epoch, samples):
    plan = combine(samples)
    assert np.array_equal(np.sort(order(plan, seed, epoch)), np.arange(len(plan)))


def test_the_draws_cover_their_ranges_and_do_not_leave_them():
    draws = draw(Plan(np.zeros(20_000, int), np.full(20_000, TRANSFORMS.index("combine"))), seed=3, epoch=5)
    for name, middle, limit in (
        ("shift_x", 0, MAX_SHIFT),
        ("shift_y", 0, MAX_SHIFT),
        ("angle", 0, MAX_ROTATION),
        ("brightness", 0, MAX_LIGHT),
        ("contrast", 1, MAX_LIGHT),
    ):
        values = getattr(draws, name) - middle
        assert values.min() == pytest.approx(-limit, rel=0.01), name
        assert values.max() == pytest.approx(limit, rel=0.01), name
        assert abs(values.mean()) < 0.03 * limit, name
    assert (draws.flip_x == -1).mean() == pytest.approx(0.5, abs=0.02)
    assert (draws.flip_y == 1).all()
    lit = draws.brightness != 0
    assert lit.mean() == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(lit, draws.contrast != 1)


def test_light_flip_and_shift_are_drawn_independently():
    draws = draw(Plan(np.zeros(20_000, int), np.ones(20_000, int)), seed=0, epoch=0)
    lit = draws.brightness != 0
    columns = [draws.shift_x, draws.shift_y, draws.angle, draws.flip_x, draws.brightness, draws.contrast, lit]
    assert np.abs(np.corrcoef(np.stack(columns)) - np.eye(7)).max() < 0.03


def test_originals_are_left_alone_and_flips_only_flip():
    plan = make_plan(3, Augment("flip", 2))
    draws = draw(plan, seed=0, epoch=0)
    assert draws.flip_x.tolist() == [1, 1, 1, -1, -1, -1, 1, 1, 1]
    assert draws.flip_y.tolist() == [1, 1, 1, 1, 1, 1, -1, -1, -1]
    for name, neutral in {"shift_x": 0, "shift_y": 0, "angle": 0, "brightness": 0, "contrast": 1}.items():
        assert set(getattr(draws, name).tolist()) == {neutral}, name


@few
@given(st.integers(1, 20), st.sampled_from([("combine", 0), ("combine", 2), ("flip", 2)]))
def test_a_plan_is_read_back_as_it_was_written(tmp_path_factory, samples, kind):
    path = tmp_path_factory.mktemp("plan") / "plan.csv"
    plan = make_plan(samples, Augment(*kind))
    write_plan(path, plan)
    assert same(read_plan(path, samples), plan)


def test_a_missing_plan_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"plan\.csv is missing; run 'dvc repro augment'"):
        read_plan(tmp_path / "plan.csv", 3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("row,source_row,transform\n0,0,wobble\n", "is no training plan"),
        ("row,source_row,transform\n0,first,none\n", "is no training plan"),
        ("row,transform\n0,none\n", "is no training plan"),
        ("row,source_row,transform\n0\n", "is no training plan"),
        (f"row,source_row,transform\n0,{10**25},none\n", "is no training plan"),
        (f"row,source_row,transform\n0,{'1' * 200_000},none\n", "is no training plan"),
        ("row,source_row,transform\n0,0,none\n1,1,none\n2,2,none\n3,0,combine\n", "does not fit"),
        ("", "does not fit a training set of 3 samples"),
        ("row,source_row,transform\n0,3,none\n", "does not fit a training set of 3 samples"),
        ("row,source_row,transform\n0,-1,none\n", "does not fit a training set of 3 samples"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path, text, fault):
    (tmp_path / "plan.csv").write_text(text)
    with pytest.raises(InputError, match=fault):
        read_plan(tmp_path / "plan.csv", 3)
