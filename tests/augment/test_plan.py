"""The plan and its draws: functions of (seed, epoch, row) and of nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.augment import plan as planning
from segkit.augment import transforms
from segkit.augment.plan import (
    RANDOM_TRANSFORMS,
    TRANSFORMS,
    Draws,
    Plan,
    draw,
    make_plan,
    order,
    read_plan,
    stream,
    write_plan,
)
from segkit.base.errors import InputError
from tests.tiny import COMBINE, augmentation, few

seeds, epochs = st.integers(0, 2**63 - 1), st.integers(0, 10_000)


def combine(samples: int, n_aug: int = 1) -> Plan:
    return make_plan(samples, augmentation("combine", n_aug))


def drawn(plan: Plan, seed: int, epoch: int, size: tuple[int, int] = (30, 40)) -> Draws:
    return draw(plan, COMBINE, size, seed, epoch)


def light(draws: Draws) -> np.ndarray:
    """Brightness and contrast, ``(M, 2)``."""
    if not draws.recolours:
        return np.zeros((len(draws.maps), 2), np.float32)
    ((function, values),) = draws.recolours
    assert function is transforms.relight
    return values


def same(one: Draws, other: Draws) -> bool:
    return np.array_equal(one.maps, other.maps) and np.array_equal(light(one), light(other))


def same_plan(one: Plan, other: Plan) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


@few
@given(st.integers(1, 20), st.sampled_from([("combine", 0), ("combine", 3), ("flip", 0), ("flip", 1), ("flip", 2)]))
def test_originals_come_first_then_copies_of_all(samples, kind):
    plan = make_plan(samples, augmentation(*kind))
    transforms = plan.transforms.reshape(1 + kind[1], samples)
    copies = {"combine": ["combine"] * 3, "flip": ["flip_horizontal", "flip_vertical"]}[kind[0]]
    for copy, name in zip(transforms, ["none", *copies[: kind[1]]], strict=True):
        assert {TRANSFORMS[transform] for transform in copy} == {name}
    assert np.array_equal(plan.source_rows, np.tile(np.arange(samples), 1 + kind[1]))


@few
@given(seeds, epochs)
def test_the_same_seed_and_epoch_draw_the_same(seed, epoch):
    plan = combine(9)
    assert same(drawn(plan, seed, epoch), drawn(plan, seed, epoch))
    assert np.array_equal(order(plan, seed, epoch), order(plan, seed, epoch))


@few
@given(seeds, epochs, st.integers(1, 30), st.integers(1, 30))
def test_a_row_s_draw_does_not_depend_on_how_many_rows_there_are(seed, epoch, few_rows, more_rows):
    short, long = (Plan(np.zeros(rows, int), np.ones(rows, int)) for rows in (few_rows, few_rows + more_rows))
    assert same(drawn(short, seed, epoch), drawn(long, seed, epoch)[np.arange(few_rows)])


@few
@given(seeds, epochs)
def test_epochs_and_seeds_differ(seed, epoch):
    plan = combine(30)
    for other in ((seed, epoch + 1), ((seed + 1) % 2**63, epoch)):
        assert not same(drawn(plan, *other), drawn(plan, seed, epoch))
        assert not np.array_equal(order(plan, *other), order(plan, seed, epoch))


@few
@given(seeds, epochs, st.integers(1, 40))
def test_the_order_is_a_permutation(seed, epoch, samples):
    plan = combine(samples)
    assert np.array_equal(np.sort(order(plan, seed, epoch)), np.arange(len(plan)))


def parts(draws: Draws, height: int = 40, width: int = 40) -> dict[str, np.ndarray]:
    """What the maps of square pictures are made of, taken apart: flip, degrees, shifts as shares of the sides."""
    linear, moved = draws.maps[:, :, :2].astype(np.float64), draws.maps[:, :, 2].astype(np.float64)
    flip = np.linalg.det(linear)
    turn = np.stack([flip, np.ones_like(flip)], 1)[:, :, None] * linear  # the mirror is followed last
    shift = -np.linalg.solve(linear, moved[..., None])[..., 0] / 2
    angle = np.rad2deg(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]))
    return {"flip": flip, "angle": angle, "shift_x": shift[:, 0], "shift_y": shift[:, 1]}


def test_the_draws_cover_their_ranges_and_do_not_leave_them():
    draws = drawn(Plan(np.zeros(20_000, int), np.full(20_000, TRANSFORMS.index("combine"))), 3, 5, size=(40, 40))
    found = parts(draws) | {"brightness": light(draws)[:, 0], "contrast": light(draws)[:, 1]}
    limits = {"angle": 10, "shift_x": 0.03, "shift_y": 0.03, "brightness": 0.2, "contrast": 0.2}
    for name, limit in limits.items():
        assert found[name].min() == pytest.approx(-limit, rel=0.01), name
        assert found[name].max() == pytest.approx(limit, rel=0.01), name
        assert abs(found[name].mean()) < 0.03 * limit, name
    assert (found["flip"] < 0).mean() == pytest.approx(0.5, abs=0.02)
    lit = found["brightness"] != 0
    assert lit.mean() == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(lit, found["contrast"] != 0)


def test_what_is_drawn_is_independent():
    draws = drawn(Plan(np.zeros(20_000, int), np.ones(20_000, int)), 0, 0, size=(40, 40))
    lit = light(draws)[:, 0] != 0
    columns = [*parts(draws).values(), *light(draws).T, lit]
    assert np.abs(np.corrcoef(np.stack(columns)) - np.eye(7)).max() < 0.03


def test_another_transform_changes_no_draw_of_the_others(monkeypatch):
    """Each has a random stream of its own."""
    plan = combine(30)
    before = drawn(plan, 1, 2)
    for number in range(len(RANDOM_TRANSFORMS) + 1):
        names = (*RANDOM_TRANSFORMS[:number], "wobble", *RANDOM_TRANSFORMS[number:])
        with monkeypatch.context() as context:
            context.setattr(planning, "RANDOM_TRANSFORMS", names)
            context.setattr(transforms, "wobble", lambda numbers, *_: transforms.identity(len(numbers)), raising=False)
            assert same(drawn(plan, 1, 2), before)


def test_a_transform_that_is_turned_off_changes_nothing():
    plan = combine(30)
    off = dict.fromkeys(("flip", "rotation", "shift", "light"), 0.0)
    draws = draw(plan, augmentation("combine", 1, **off).combine, (30, 40), 0, 0)
    assert np.array_equal(draws.maps, np.tile(np.float32(np.eye(3)[:2]), (60, 1, 1)))
    assert not light(draws).any()


def test_every_key_of_combine_is_a_transform_with_a_stream_of_its_own():
    assert all(callable(getattr(transforms, name)) for name in RANDOM_TRANSFORMS)
    assert len({stream(name) for name in (*RANDOM_TRANSFORMS, "order")}) == len(RANDOM_TRANSFORMS) + 1


@pytest.mark.parametrize(
    ("samples", "n_aug", "least", "copies"),
    [(14, 1, 400, 28), (200, 1, 400, 1), (201, 1, 400, 1), (199, 1, 400, 2), (14, 0, 400, 0), (14, 40, 400, 40)],
)
def test_a_small_training_set_gets_more_copies(samples, n_aug, least, copies):
    options = augmentation("combine", n_aug).model_copy(update={"min_samples": least})
    plan = make_plan(samples, options)
    assert len(plan) == samples * (1 + copies)
    assert len(plan) >= least or n_aug == 0
    flips = augmentation("flip", 1).model_copy(update={"min_samples": least})
    assert len(make_plan(samples, flips)) == 2 * samples  # there are no more flips


@pytest.mark.parametrize(
    ("kind", "transforms", "augmented"),
    [(("combine", 2), {"combine": 15}, 3), (("combine", 0), {"none": 5}, 0),
     (("flip", 2), {"none": 5, "flip_horizontal": 5, "flip_vertical": 5}, 2)],
)  # fmt: skip
def test_originals_are_augmented_like_their_copies_on_request(kind, transforms, augmented):
    plan = make_plan(5, augmentation(*kind, originals="augment"))
    assert plan.summary() == transforms
    assert plan.augmented_per_image == augmented
    assert np.array_equal(plan.source_rows, make_plan(5, augmentation(*kind)).source_rows)


def test_originals_are_left_alone_and_flips_only_flip():
    plan = make_plan(3, augmentation("flip", 2))
    draws = drawn(plan, 0, 0)
    flips = np.zeros((9, 2, 3), np.float32)
    flips[:, 0, 0], flips[:, 1, 1] = [1, 1, 1, -1, -1, -1, 1, 1, 1], [1, 1, 1, 1, 1, 1, -1, -1, -1]
    assert np.array_equal(draws.maps, flips)
    assert not light(draws).any()


@few
@given(st.integers(1, 20), st.sampled_from([("combine", 0), ("combine", 2), ("flip", 2)]))
def test_a_plan_is_read_back_as_it_was_written(tmp_path_factory, samples, kind):
    path = tmp_path_factory.mktemp("plan") / "plan.csv"
    options = augmentation(*kind)
    write_plan(path, make_plan(samples, options))
    assert same_plan(read_plan(path, samples, options), make_plan(samples, options))


def test_a_missing_plan_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"plan\.csv is missing; run 'dvc repro'"):
        read_plan(tmp_path / "plan.csv", 3, augmentation("combine", 1))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[: 1 + len(lines) // 2],
        lambda lines: [*lines, *lines[1:]],
        lambda lines: [line.replace(",1,", ",0,").replace(",2,", ",0,") for line in lines],
        lambda lines: [line.replace("combine", "none") for line in lines],
        lambda lines: [lines[0], *lines[2:], lines[1]],
        lambda lines: ["row,transform\n", *lines[1:]],
        lambda lines: [],
        lambda lines: ["\udcff"],
    ],
    ids=["half", "twice", "one source", "no copies", "order", "column", "empty", "bytes"],
)
def test_any_other_plan_is_refused(tmp_path, spoil):
    """Halved, doubled or of one image, it would train on other samples than the parameters say."""
    path, options = tmp_path / "plan.csv", augmentation("combine", 1)
    write_plan(path, make_plan(3, options))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(spoil(lines)), errors="surrogateescape")
    with pytest.raises(InputError, match=r"plan\.csv is not the plan for 3 training samples .*run 'dvc repro'"):
        read_plan(path, 3, options)


def test_the_plan_of_other_parameters_is_refused(tmp_path):
    write_plan(tmp_path / "plan.csv", make_plan(3, augmentation("combine", 1)))
    for samples, options in ((4, augmentation("combine", 1)), (3, augmentation("combine", 2))):
        with pytest.raises(InputError, match="is not the plan"):
            read_plan(tmp_path / "plan.csv", samples, options)
