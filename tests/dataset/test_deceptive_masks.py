"""Values of masks that resemble a common convention and mean something else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.dataset.mask_values import examine
from segkit.dataset.meaning import Meaning, decide
from tests.tiny import own_folder


def disc(shape=(48, 48), radius=12):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - 20) ** 2 + (x - 24) ** 2 < radius**2


def objects(side, count):
    """Squares of ``side`` pixels, each with a number of its own."""
    masks = np.zeros((160, 160), np.uint8)
    step = side + 2
    for number in range(count):
        row, column = divmod(number, 150 // step)
        masks[row * step :, column * step :][:side, :side] = number + 1
    return masks


def meaning(masks, **options) -> Meaning:
    found = [(f"s{i}", examine(Image.fromarray(mask), lossy=False)) for i, mask in enumerate(masks)]
    return decide(found, own_folder(Path("images"), Path("masks"), **options))


@pytest.mark.parametrize("side", [2, 3, 4, 6, 9])
def test_numbered_objects_are_not_cut_at_half_of_their_number(side):
    masks = [objects(side, 120 + extra) for extra in range(3)]
    with pytest.raises(InputError, match="set it to nonzero"):
        meaning(masks)
    decided = meaning(masks, foreground="nonzero")
    assert np.array_equal(decided.mask(Image.fromarray(masks[0])), masks[0] > 0)


@pytest.mark.parametrize("width", [2, 4, 6, 12])
def test_thin_lines_with_soft_edges_are_cut_at_half(width):
    fine = np.zeros((480, 480), np.uint8)
    for start in range(0, 480, 120):
        for y in range(480):
            x = start + int(60 + 40 * np.sin(y / 50))
            fine[y, x : x + width] = 255
    soft = np.asarray(Image.fromarray(fine).resize((120, 120), Image.Resampling.BOX))
    assert meaning([soft, soft]).cut == (int(soft.max()) / 2)


@pytest.mark.parametrize("pair", [(254, 255), (250, 255), (240, 255), (60000, 65535)])
def test_masks_of_nearly_the_same_white_are_one_convention(pair):
    masks = [disc() * np.array(white).astype(np.uint16 if white > 255 else np.uint8) for white in pair]
    decided = meaning(masks)
    assert all(np.array_equal(decided.mask(Image.fromarray(mask)), disc()) for mask in masks)


def test_255_is_void_only_if_most_masks_that_hold_it_have_another_foreground():
    void = disc().astype(np.uint8)
    void[0] = 255
    white, stray = disc() * np.uint8(255), disc() * np.uint8(255)
    stray[40, 40] = 1
    assert meaning([void, void, white]).ignored == (255,)
    with pytest.raises(InputError, match=r"3 hold 0 and 255 .*1 holds 0, 1 and 255 .*such as \[255\]"):
        meaning([white, white, stray, white])


@pytest.mark.parametrize("number", [1, 2, 10, 40])
def test_class_numbers_in_one_channel_are_colours_and_not_black(number):
    mask = np.zeros((48, 48, 3), np.uint8)
    mask[disc(), 0] = number
    colour = f"#{number:02x}0000"
    with pytest.raises(InputError, match=rf"masks hold #000000 and {colour}.*\['{colour}'\]"):
        meaning([mask, mask])
    assert np.array_equal(meaning([mask], foreground=(colour,)).mask(Image.fromarray(mask)), disc())


def test_the_example_of_a_list_of_values_can_be_copied():
    numbered = [disc() * np.uint8(number) for number in range(1, 20)]
    with pytest.raises(InputError, match=r"such as \[19\], or to nonzero"):
        meaning(numbered)
    viridis = np.where(disc()[..., None], (253, 231, 36), (68, 1, 84)).astype(np.uint8)
    with pytest.raises(InputError, match=r"such as \['#fde724'\]"):
        meaning([viridis])
    red = disc()[..., None] * np.array([255, 0, 0], np.uint8)
    white = disc()[..., None] * np.array([255, 255, 255], np.uint8)
    with pytest.raises(InputError, match=r"such as \['#ff0000', '#ffffff'\]"):
        meaning([red, white])
    with pytest.raises(InputError, match=r"such as \['#ff0000'\]"):
        meaning([np.where(disc()[..., None], red, np.uint8(255))])
