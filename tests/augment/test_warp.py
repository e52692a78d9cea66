"""The warp against turns and flips that torch does exactly."""

from statistics import NormalDist

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


@few
@given(st.floats(0.005, 0.1), st.sampled_from([(40, 60), (60, 40), (40, 40)]))
def test_the_blur_is_torchvision_s_and_its_width_a_fraction_of_the_longer_side(amount, shape):
    images, masks = sample(*shape)
    found, unchanged = warp(images, masks, chosen("blur", -1, 1, blur=amount, blur_probability=1))
    sigma = amount * max(shape)
    margin = min(19, round(4 * sigma) + 1)  # at the edge theirs mirrors the image
    theirs = TF.gaussian_blur(images, [2 * margin + 1] * 2, [sigma] * 2)
    inside = ..., slice(margin, -margin), slice(margin, -margin)
    torch.testing.assert_close(found[inside], theirs[inside], atol=0.5 if margin == 19 else 0.05, rtol=0)
    assert torch.equal(unchanged, masks)


def test_the_blur_keeps_an_even_image_up_to_the_edge():
    images = torch.full((1, 3, 12, 16), 200.0)
    found = transforms.soften(images, torch.tensor([[0.1]]))
    torch.testing.assert_close(found, images)


def noise_of(*seeds: float, amount: float = 0.1, side: int = 64) -> torch.Tensor:
    values = torch.tensor([[amount, seed] for seed in seeds])
    return transforms.add_noise(torch.zeros(len(seeds), 3, side, side), values)


def test_noise_is_normal_and_independent_between_pixels_channels_and_samples():
    noise = noise_of(*np.linspace(0, 1, 40).tolist()) / 25.5
    ordered = noise.flatten().sort().values
    for share in (0.001, 0.025, 0.16, 0.5, 0.84, 0.975, 0.999):
        assert ordered[round(share * len(ordered))] == pytest.approx(NormalDist().inv_cdf(share), abs=0.03)
    channels = np.corrcoef(noise.flatten(0, 1).flatten(1).numpy())
    assert np.abs(channels - np.eye(120)).max() < 5 / 64  # five standard deviations
    for apart in ((..., slice(1, None), slice(None)), (..., slice(None), slice(1, None))):
        moved = noise[apart]
        kept = noise[..., : moved.shape[-2], : moved.shape[-1]]
        assert abs((moved * kept).mean()) < 0.01


def test_noise_is_a_function_of_its_seed_and_grows_with_its_amount():
    one, again, other = noise_of(0.25, 0.25, 0.75)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    torch.testing.assert_close(noise_of(0.25, amount=0.2)[0], 2 * one)


def test_random_bits_are_those_of_splitmix64():
    counter = np.array([0, 1, 2**31, 2**45 + 7])
    with np.errstate(over="ignore"):
        bits = counter.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        expected = bits ^ (bits >> np.uint64(31))
    found = transforms._mixed(torch.from_numpy(counter)).numpy().view(np.uint64)
    assert np.array_equal(found, expected)
    assert found[1] == 0xE220A8397B1DCDAF  # first output of the published generator with seed 0


@pytest.mark.parametrize("name", ["blur", "noise", "light"])
def test_a_recolouring_with_a_probability_changes_that_share_of_the_samples(name):
    combine = COMBINE.model_copy(update={name: 0.1, f"{name}_probability": 0.3})
    effect = getattr(transforms, name)(np.random.default_rng(0).random((2000, 4)), combine, 1.0)
    assert effect.values.any(axis=1).mean() == pytest.approx(0.3, abs=0.03)
    amounts = effect.values[effect.values.any(axis=1)]
    assert np.abs(amounts[:, 0]).max() == pytest.approx(0.1, rel=0.02)
    assert np.abs(amounts[:, 0]).mean() == pytest.approx(0.05, rel=0.1)
    if name == "noise":
        assert len(np.unique(amounts[:, 1])) == len(amounts)
        assert abs(np.corrcoef(amounts.T)[0, 1]) < 0.15


@pytest.mark.parametrize("changed", [[], [1], [0, 2], [0, 1, 2]])
def test_a_recolouring_leaves_the_other_samples_of_a_batch_alone(changed):
    images, masks = sample(count=3)
    values = np.zeros((3, 1), np.float32)
    values[changed] = np.array([[0.05], [0.1], [0.15]], np.float32)[changed]
    maps = np.tile(np.float32(np.eye(3)[:2]), (3, 1, 1))
    found, _ = warp(images, masks, Draws(maps, (Recolour(transforms.soften, values),)))
    expected = images.clone()
    for row in changed:
        expected[row : row + 1] = transforms.soften(images[row : row + 1], torch.from_numpy(values[row : row + 1]))
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
