"""Batches: every row of the plan once an epoch, whatever the batch size, and a reader that may leave."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segkit.augment.plan import Plan, draw, make_plan, order
from segkit.augment.warp import warp
from segkit.base.packed import Split
from segkit.models.normalize import Normalizer
from segkit.training.batches import TrainingBatches, batch_bounds, plain_batches
from segkit.training.distributed import World
from tests.tiny import COMBINE, augmentation, few, many

CPU = torch.device("cpu")
UNCHANGED = Normalizer("dataset", (0.0,) * 3, (1 / 255,) * 3)  # values stay 0 to 255


def split(samples: int, height: int = 4, width: int = 6) -> Split:
    """Every pixel of picture and mask of row i says i; masks alternate 0, 1, 255."""
    images = np.zeros((samples, height, width, 3), np.uint8) + np.arange(samples, dtype=np.uint8)[:, None, None, None]
    masks = np.zeros((samples, height, width), np.uint8) + np.uint8([0, 1, 255])[np.arange(samples) % 3, None, None]
    return Split(images, masks)


def batches(data: Split, plan: Plan, batch_size: int, seed: int = 0) -> TrainingBatches:
    return TrainingBatches(data, plan, COMBINE, UNCHANGED, seed=seed, batch_size=batch_size, device=CPU)


@few
@given(st.integers(1, 40), st.integers(1, 17), st.integers(0, 2), st.integers(0, 5))
def test_an_epoch_shows_every_row_of_the_plan_once_in_its_order(samples, batch_size, copies, epoch):
    data, plan = split(samples), make_plan(samples, augmentation("flip", copies))
    shown = list(batches(data, plan, batch_size).epoch(epoch))
    sources = torch.cat([batch.images[:, 0, 0, 0] for batch in shown]).round().int().numpy()
    expected = plan.source_rows[order(plan, 0, epoch)]
    assert np.array_equal(sources, expected)
    assert np.array_equal(np.bincount(sources, minlength=samples), np.full(samples, 1 + copies))
    masks = torch.cat([batch.masks[:, 0, 0] for batch in shown]).numpy()
    assert np.array_equal(masks, np.uint8([0, 1, 255])[expected % 3])


def test_each_row_gets_the_transform_that_its_plan_and_epoch_draw():
    noise = np.random.default_rng(0)
    data = Split(noise.integers(0, 255, (7, 16, 20, 3), np.uint8), noise.integers(0, 2, (7, 16, 20), np.uint8))
    plan = make_plan(7, augmentation("combine", 2))
    shown = list(batches(data, plan, batch_size=4, seed=5).epoch(3))
    rows = order(plan, 5, 3)
    images = torch.from_numpy(data.images[plan.source_rows[rows]]).permute(0, 3, 1, 2).float()
    masks = torch.from_numpy(data.masks[plan.source_rows[rows]])
    expected_images, expected_masks = warp(images, masks, draw(plan, COMBINE, (16, 20), 5, 3)[rows])
    assert torch.equal(torch.cat([batch.masks for batch in shown]), expected_masks)
    torch.testing.assert_close(torch.cat([batch.images for batch in shown]), expected_images, atol=1e-2, rtol=0)


@pytest.mark.parametrize("batch_size", [3, 8, 21])
def test_the_batch_size_does_not_change_what_a_sample_looks_like(batch_size):
    noise = np.random.default_rng(0)
    data = Split(noise.integers(0, 255, (7, 8, 8, 3), np.uint8), noise.integers(0, 2, (7, 8, 8), np.uint8))
    plan = make_plan(7, augmentation("combine", 2))
    one, other = (list(batches(data, plan, size).epoch(1)) for size in (5, batch_size))
    for name in ("images", "masks"):
        joined = [torch.cat([getattr(batch, name) for batch in shown]) for shown in (one, other)]
        torch.testing.assert_close(*joined, atol=1e-2, rtol=0)


def test_images_and_masks_of_an_epoch_have_the_size_that_it_asks_for():
    """Half and half, so that a mask that is not resized with its image shows; 255 is never blended."""
    images, masks = np.zeros((6, 32, 32, 3), np.uint8), np.zeros((6, 32, 32), np.uint8)
    images[:, :16], masks[:, :16], masks[:, :8] = 200, 1, 255
    data, plan = Split(images, masks), make_plan(6, augmentation("combine", 0))
    made = TrainingBatches(
        data, plan, COMBINE, UNCHANGED, seed=0, batch_size=3, device=CPU, size=lambda epoch: ((24, 16), (32, 32))[epoch]
    )
    for epoch, (height, width) in enumerate([(24, 16), (32, 32)]):
        for batch in made.epoch(epoch):
            assert batch.images.shape == (3, 3, height, width) and batch.masks.shape == (3, height, width)
            quarter = torch.tensor([255, 1, 0, 0], dtype=torch.uint8).repeat_interleave(height // 4)
            assert torch.equal(batch.masks, quarter[None, :, None].expand_as(batch.masks))
            assert (batch.images[:, :, 1] > 199).all() and (batch.images[:, :, -2] < 1).all()


def test_epochs_are_shown_in_different_orders():
    data, plan = split(30), make_plan(30, augmentation("combine", 0))
    orders = [torch.cat([b.images[:, 0, 0, 0] for b in batches(data, plan, 7).epoch(epoch)]) for epoch in (0, 1)]
    assert not torch.equal(*orders)
    assert torch.equal(*(values.sort().values for values in orders))


def test_training_batches_are_normalised_float_and_as_many_as_promised():
    data, plan = split(10), make_plan(10, augmentation("combine", 1))
    made = TrainingBatches(data, plan, COMBINE, Normalizer("image"), seed=0, batch_size=4, device=CPU)
    shown = list(made.epoch(0))
    assert len(shown) == len(made) == 5
    for batch in shown:
        assert (batch.images.dtype, batch.images.shape) == (torch.float32, (4, 3, 4, 6))
        assert (batch.masks.dtype, batch.masks.shape) == (torch.uint8, (4, 4, 6))
        assert batch.images.abs().max() < 1  # each picture has one colour


@many
@given(st.integers(1, 300), st.integers(1, 40))
def test_bounds_cover_every_sample_once_and_leave_none_alone(samples, size):
    bounds = batch_bounds(samples, size)
    assert [row for start, stop in bounds for row in range(start, stop)] == list(range(samples))
    lengths = [stop - start for start, stop in bounds]
    assert lengths[:-1] == [size] * (len(lengths) - 1)
    assert 1 <= lengths[-1] <= size + 1
    if samples > 1 and size > 1:
        assert lengths[-1] != 1


@pytest.mark.parametrize(
    ("samples", "size", "lengths"),
    [(31, 15, [15, 16]), (32, 15, [15, 15, 2]), (16, 15, [16]), (1, 15, [1]), (30, 15, [15, 15])],
)
def test_a_left_over_sample_joins_the_batch_before_it(samples, size, lengths):
    assert [stop - start for start, stop in batch_bounds(samples, size)] == lengths


@many
@given(st.integers(1, 30), st.integers(1, 12))
def test_plain_batches_are_all_rows_in_order(samples, batch_size):
    shown = list(plain_batches(split(samples), UNCHANGED, batch_size=batch_size, device=CPU))
    assert torch.cat([batch.images[:, 0, 0, 0] for batch in shown]).round().tolist() == list(range(samples))
    assert torch.cat([batch.masks[:, 0, 0] for batch in shown]).tolist() == [[0, 1, 255][i % 3] for i in range(samples)]
    assert all(len(batch.masks) == batch_size for batch in shown[:-1])


@few
@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 4))
def test_the_slices_of_all_ranks_are_the_batches_of_one_process(samples, batch_size, size):
    noise = np.random.default_rng(0)
    data = Split(noise.integers(0, 255, (samples, 4, 6, 3), np.uint8), noise.integers(0, 2, (samples, 4, 6), np.uint8))
    plan, options = make_plan(samples, augmentation("combine", 1)), {"batch_size": batch_size, "device": CPU}
    worlds = [World(rank, size) for rank in range(size)]
    drawn = data, plan, COMBINE, UNCHANGED
    training = [TrainingBatches(*drawn, seed=1, world=world, **options).epoch(2) for world in worlds]
    plain = [plain_batches(data, UNCHANGED, world=world, **options) for world in worlds]
    alone = [
        TrainingBatches(*drawn, seed=1, **options).epoch(2),
        plain_batches(data, UNCHANGED, **options),
    ]
    for whole, shares in zip(alone, (training, plain), strict=True):
        for batch, pieces in zip(whole, zip(*shares, strict=True), strict=True):
            assert torch.equal(torch.cat([piece.masks for piece in pieces]), batch.masks)
            joined = torch.cat([piece.images for piece in pieces])
            torch.testing.assert_close(joined, batch.images, atol=1e-2, rtol=0)


def test_originals_are_shown_as_they_are_beside_transformed_copies():
    noise = np.random.default_rng(0)
    data = Split(noise.integers(0, 255, (9, 8, 8, 3), np.uint8), noise.integers(0, 2, (9, 8, 8), np.uint8))
    plan = make_plan(9, augmentation("combine", 1))
    (batch,) = batches(data, plan, 18).epoch(0)
    rows = order(plan, 0, 0)
    originals = rows < 9
    expected = torch.from_numpy(data.images[rows[originals]]).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(batch.images[torch.from_numpy(originals)], expected, atol=1e-4, rtol=0)
