"""The warp against turns and flips that torch does exactly."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from hypothesis import given
from hypothesis import strategies as st

from segkit.augment import transforms
from segkit.augment.plan import Draws
from segkit.augment.transforms import Recolour
from segkit.augment.warp import warp
from tests.tiny import COMBINE, few


def draws(
    aspect: float = 1.0,
    *,
    shift_x: float = 0,
    shift_y: float = 0,
    angle: float = 0,
    flip_x: float = 1,
    flip_y: float = 1,
    brightness: float = 0,
    contrast: float = 1,
) -> Draws:
    """One draw: flips, then degrees counter-clockwise, then shares of the sides to the right and down; light.

    Made by the transforms themselves, of the random number that draws just that.
    """
    full = COMBINE.model_copy(update={"rotation": 180, "shift": 1, "light": 1, "light_probability": 1})
    mirrored = transforms.mirror(np.array([flip_x < 0]), np.array([flip_y < 0]))
    turned = transforms.rotation(numbers(angle / 180), full, aspect)
    moved = transforms.shift(numbers(shift_x, shift_y), full, aspect)
    light = transforms.light(np.array([[0, *numbers(brightness, contrast - 1)[0, :2], 0]]), full, aspect)
    maps = (mirrored @ turned @ moved)[:, :2].astype(np.float32)
    return Draws(maps, (Recolour(light.function, light.values.astype(np.float32)),))


def numbers(*signed: float) -> np.ndarray:
    """Random numbers in 0 to 1 that stand for these in -1 to 1."""
    return np.array([[(value + 1) / 2 for value in (*signed, 0, 0, 0, 0)][:4]])


def sample(height: int = 12, width: int = 16, seed: int = 0, count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, and a mask with all three values."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, height, width), generator=generator).float()
    masks = torch.tensor([0, 1, 255], dtype=torch.uint8)[
        torch.randint(0, 3, (count, height, width), generator=generator)
    ]
    return images, masks


def assert_same(found: tuple[torch.Tensor, torch.Tensor], expected: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert torch.equal(found[1], expected[1])
    assert found[1].dtype == torch.uint8
    torch.testing.assert_close(found[0], expected[0], atol=1e-2, rtol=0)


@few
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_the_neutral_draw_changes_nothing(height, width, seed):
    assert_same(warp(*sample(height, width, seed), draws()), sample(height, width, seed))


@few
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([("flip_x", -1), ("flip_y", -2)]))
def test_flips_are_those_of_torch(height, width, flip):
    images, masks = sample(height, width)
    assert_same(warp(images, masks, draws(**{flip[0]: -1})), (images.flip(flip[1]), masks.flip(flip[1])))


@pytest.mark.parametrize(("angle", "turns"), [(90, 1), (180, 2), (270, 3), (-90, -1)])
@pytest.mark.parametrize("side", [7, 16])
def test_quarter_turns_of_squares_are_those_of_torch_counter_clockwise(angle, turns, side):
    images, masks = sample(side, side)
    expected = torch.rot90(images, turns, (-2, -1)), torch.rot90(masks, turns, (-2, -1))
    assert_same(warp(images, masks, draws(angle=angle)), expected)


def test_half_a_turn_of_any_rectangle_is_both_flips():
    images, masks = sample(12, 20)
    assert_same(warp(images, masks, draws(12 / 20, angle=180)), (images.flip(-1, -2), masks.flip(-1, -2)))


@few
@given(st.integers(-4, 4), st.integers(-4, 4))
def test_shifts_move_right_and_down_by_whole_pixels_and_mirror_the_edge(right, down):
    images, masks = sample(12, 16)
    found = warp(images, masks, draws(shift_x=right / 16, shift_y=down / 12))
    # the edge's own pixel is repeated: reflection about the pixel's border, as numpy's "symmetric"
    pad = ((4, 4), (4, 4))
    rows, columns = slice(4 - down, 16 - down), slice(4 - right, 20 - right)
    expected_images = np.pad(images.numpy(), ((0, 0), (0, 0), *pad), "symmetric")[:, :, rows, columns]
    expected_masks = np.pad(masks.numpy(), ((0, 0), *pad), "symmetric")[:, rows, columns]
    assert_same(found, (torch.from_numpy(expected_images.copy()), torch.from_numpy(expected_masks.copy())))


def test_a_flip_comes_before_the_turn_and_the_turn_before_the_shift():
    images, masks = sample(8, 8)
    found = warp(images, masks, draws(flip_x=-1, angle=90, shift_x=2 / 8))

    def by_hand(values: torch.Tensor) -> torch.Tensor:
        turned = torch.rot90(values.flip(-1), 1, (-2, -1))
        return turned[..., :-2]

    assert torch.equal(found[1][..., 2:], by_hand(masks))
    torch.testing.assert_close(found[0][..., 2:], by_hand(images), atol=1e-2, rtol=0)


@few
@given(st.floats(-10, 10), st.sampled_from([(60, 120), (120, 60), (90, 90)]))
def test_rotation_is_rigid_on_pictures_that_are_not_square(angle, shape):
    """Two dots at right angles about the centre stay at their distance and at right angles."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    arms = np.array([[20, 0], [0, 20]])
    blobs = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18) for cx, cy in centre + arms]
    images = torch.from_numpy(255 * np.stack([*blobs, blobs[0]])[None]).float()
    nothing = torch.zeros(1, height, width, dtype=torch.uint8)
    found = warp(images, nothing, draws(height / width, angle=angle))[0][0].numpy()
    moved = [np.array([(blob * x).sum(), (blob * y).sum()]) / blob.sum() - centre for blob in found[:2]]
    radians = np.deg2rad(angle)
    assert moved[0] == pytest.approx([20 * np.cos(radians), -20 * np.sin(radians)], abs=0.1)  # counter-clockwise
    assert moved[1] == pytest.approx([20 * np.sin(radians), 20 * np.cos(radians)], abs=0.1)


@few
@given(st.floats(-0.03, 0.03), st.floats(-0.03, 0.03), st.floats(-10, 10), st.sampled_from([1, -1]))
def test_masks_hold_only_their_own_values(shift_x, shift_y, angle, flip):
    images, masks = sample(16, 24)
    moved = draws(0.8, shift_x=shift_x, shift_y=shift_y, angle=angle, flip_x=flip)
    assert set(warp(images, masks, moved)[1].unique().tolist()) <= {0, 1, 255}


@few
@given(st.floats(-0.03, 0.03), st.floats(-0.03, 0.03), st.floats(-10, 10), st.sampled_from([1, -1]))
def test_picture_and_mask_move_together(shift_x, shift_y, angle, flip):
    """A picture that shows its own mask still shows it, but for the blur at edges."""
    coarse = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(1)) > 0.5
    masks = F.interpolate(coarse.float(), size=(48, 60))[:, 0].to(torch.uint8)
    images = 255 * masks[:, None].float().expand(-1, 3, -1, -1)
    moved = draws(0.8, shift_x=shift_x, shift_y=shift_y, angle=angle, flip_x=flip)
    images, masks = warp(images, masks, moved)
    clear = (images[:, 0] - 127.5).abs() > 100
    assert clear.float().mean() > 0.8
    assert torch.equal(images[:, 0][clear] > 127.5, masks[clear] == 1)


def test_brightness_adds_and_contrast_stretches_about_the_mean():
    images = torch.full((1, 3, 4, 4), 100.0)
    images[..., :2] = 140
    masks = torch.zeros(1, 4, 4, dtype=torch.uint8)
    lit = warp(images, masks, draws(brightness=0.1, contrast=1.2))[0]
    assert lit[0, 0, 0].tolist() == pytest.approx([120 + 1.2 * 20 + 25.5] * 2 + [120 - 1.2 * 20 + 25.5] * 2, abs=1e-2)


def test_light_is_cut_to_what_a_picture_can_hold():
    images, masks = sample()
    lit = warp(images, masks, draws(brightness=0.2, contrast=1.2))[0]
    dark = warp(images, masks, draws(brightness=-0.2, contrast=1.2))[0]
    assert (lit.max(), dark.min()) == (255, 0)


def test_every_sample_of_a_batch_gets_its_own_draw():
    images, masks = sample(count=3)
    maps = transforms.mirror(np.array([False, True, False]), np.array([False, False, True]))[:, :2]
    expected = [torch.stack([values[0], values[1].flip(-1), values[2].flip(-2)]) for values in (images, masks)]
    assert_same(warp(images, masks, Draws(maps.astype(np.float32))), tuple(expected))


def chosen(name: str, *signed: float, **strength: float) -> Draws:
    """One draw of one transform, by the random numbers that stand for these in -1 to 1."""
    effect = getattr(transforms, name)(numbers(*signed), COMBINE.model_copy(update=strength), 1.0)
    if isinstance(effect, Recolour):
        recolour = Recolour(effect.function, effect.values.astype(np.float32))
        return Draws(np.float32(np.eye(3)[None, :2]), (recolour,))
    return Draws(effect[:, :2].astype(np.float32))


def blob() -> tuple[torch.Tensor, torch.Tensor]:
    """A square of 8 by 8 pixels in the middle of 32 by 32, as image and as mask."""
    mask = torch.zeros(1, 32, 32, dtype=torch.uint8)
    mask[:, 12:20, 12:20] = 1
    return mask[:, None].float().repeat(1, 3, 1, 1) * 200, mask


@pytest.mark.parametrize(
    ("name", "signed", "strength", "height", "width"),
    [
        ("scale", [-1], {"scale": 1.0}, 16, 16),
        ("scale", [1], {"scale": 1.0}, 4, 4),
        ("stretch", [-1], {"stretch": 1.0}, 4, 16),
        ("stretch", [1], {"stretch": 1.0}, 16, 4),
    ],
)
def test_scale_and_stretch_change_the_size_of_an_object(name, signed, strength, height, width):
    _, mask = warp(*blob(), chosen(name, *signed, **strength))
    mask = mask[:, 8:24, 8:24]  # without what the edge mirrors
    rows, columns = mask[0].any(1).sum().item(), mask[0].any(0).sum().item()
    assert (rows, columns) == (height, width)
    assert mask.sum() == height * width


def test_shear_slants_by_its_angle_and_keeps_the_area():
    _, mask = warp(*blob(), chosen("shear", 1, 0, shear=45.0))
    starts = [row.nonzero()[0].item() for row in mask[0] if row.any()]
    assert abs(np.diff(starts)).tolist() == [1] * 7  # 45 degrees: a pixel a row
    assert mask.sum() == pytest.approx(64, abs=8)


@few
@given(st.integers(0, 9), st.floats(-1, 1), st.floats(-1, 1))
def test_colour_keeps_grey_pixels_grey_and_changes_saturation_and_hue_of_others(seed, saturation, hue):
    """Against torchvision's conversion to hue and saturation is too coarse; the geometry of the grey axis is exact."""
    images, masks = sample(4, 4, seed)
    images = 100 + images / 10  # nothing is clipped
    draw = chosen("colour", saturation, hue, 0, 0, colour=0.5)
    found, _ = warp(images.clone(), masks, draw)
    before, after = (values - values.mean(1, keepdim=True) for values in (images, found))
    torch.testing.assert_close(found.mean(1), images.mean(1), atol=1e-2, rtol=0)
    lengths = [values.square().sum(1).sqrt() for values in (before, after)]
    torch.testing.assert_close(lengths[1], lengths[0] * (1 + 0.5 * saturation), atol=2e-2, rtol=1e-3)
    turned = (before * after).sum(1) / (lengths[0] * lengths[1]).clamp(min=1e-6)
    clear = lengths[0] > 1
    assert torch.allclose(turned[clear], torch.tensor(np.cos(np.deg2rad(18 * hue))).float(), atol=5e-3)


def test_the_white_balance_scales_red_and_blue_alone():
    images = torch.full((1, 3, 2, 2), 100.0)
    found, _ = warp(images, torch.zeros(1, 2, 2, dtype=torch.uint8), chosen("colour", 0, 0, 1, -1, colour=0.5))
    assert found[0, :, 0, 0].tolist() == pytest.approx([110, 100, 90], abs=1e-2)


@pytest.mark.parametrize("signed", [-1.0, 0.0, 0.5])
def test_gamma_is_torchvision_s(signed):
    images, masks = sample(6, 6)
    found, _ = warp(images.clone(), masks, chosen("gamma", signed, gamma=0.7))
    theirs = 255 * TF.adjust_gamma(images / 255, float(np.exp(0.7 * signed)))
    torch.testing.assert_close(found, theirs, atol=1e-2, rtol=0)
